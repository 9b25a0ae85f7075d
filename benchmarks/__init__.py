"""How fast and how good, against what. Each prints its conditions, medians and spread."""
