"""Synchronous training by several processes or machines, on TensorFlow's distributed runtime."""
