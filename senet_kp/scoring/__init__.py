"""The error of models on records, and the check that they were not trained on them."""
