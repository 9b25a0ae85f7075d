"""The words everything shares, the networks, training and evaluation."""
