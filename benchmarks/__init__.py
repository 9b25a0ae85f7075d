"""Benchmarks of speed and accuracy. Each prints its conditions, medians and spread."""
