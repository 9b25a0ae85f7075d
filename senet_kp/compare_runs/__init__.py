"""The comparison of training runs: `senet-kp compare-runs`."""
