"""Clips whose landmarks are known exactly in every frame."""
