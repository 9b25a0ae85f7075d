"""Landmarks of a picture from a model file: face detectors, engines and the model card."""
