"""Exports a checkpoint to files for deployment, and checks that they agree with it."""
