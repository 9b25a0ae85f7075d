"""Faces in videos: the same face from frame to frame, and landmarks without jitter."""
