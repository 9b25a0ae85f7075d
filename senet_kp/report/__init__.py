"""What a trained model is worth, on one page: `python -m senet_kp.report`."""
