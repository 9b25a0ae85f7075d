"""Facial landmarks as data: schemes, face boxes, pictures, poses, drawing and metrics."""
