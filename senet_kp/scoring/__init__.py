"""Scores models on records, and checks that they were not trained on the scored faces."""
