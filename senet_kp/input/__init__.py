"""The input of a training: records, augmentation, batches and previews."""
