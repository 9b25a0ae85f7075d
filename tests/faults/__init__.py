"""Proof by force: commands are killed, starved and fed with damaged files, and must lose nothing.

`python -m tests.faults` runs all of it and writes its table into `docs/reliability.md`.
"""
