"""Downloads of published data sets: resumable transfers and safe unpacking."""
