"""TFRecords on disk: the record schema with its writer and parser, shards, manifest, verification.

This is the lowest package of the project: it imports none of the others.
"""
