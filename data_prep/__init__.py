"""From pictures and labels on disk to face samples: one file per format, then one way on."""
