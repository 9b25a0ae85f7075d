"""Training of a network on one machine, and everything that a run folder holds."""
