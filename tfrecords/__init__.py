"""Records on disk: the schema (writer and parser), shards, the manifest, verification.

The lowest room: it knows bytes, arrays and names, and imports nothing else of this project.
"""
