"""Features that a fixed trunk has computed from pictures, in place of the pictures themselves."""

import numpy as np


class StoredFeatures:
    """The features [H, W, C] of every record, looked up by the record's name.

    It takes the place of an Augmenter in the input pipeline: landmarks and masks pass unchanged.
    parts: pairs of n record names and their features [n, H, W, C], which may be memory-mapped.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, parts):
        self.shape = parts[0][1].shape[1:]
        self._rows = {}
        for names, features in parts:
            self._rows |= {n.encode(): row for n, row in zip(names, features, strict=True)}

    def batch(self, pictures, landmarks, masks, names, epochs):
        """Features float32 [B, H, W, C] of B records; the rest is as in Augmenter.batch."""
        features = np.stack([self._rows[name] for name in names])
        turns = np.tile(np.eye(2, dtype=np.float32), (len(names), 1, 1))
        return features, landmarks, masks, turns
