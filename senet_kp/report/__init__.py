"""The report that compares trained models on one HTML page: `senet-kp report`."""
