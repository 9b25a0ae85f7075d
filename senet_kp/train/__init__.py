"""Training of a network on one machine, and the run folder in which it stores its results."""
