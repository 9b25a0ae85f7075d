"""Synchronous training in several processes or on several machines.

One of the training processes is the chief, the others are workers; parameter servers hold the
weights. Built on TensorFlow's distributed runtime.
"""
