"""The training input: reading records, data augmentation, batches and previews."""
