"""Downloads of published data sets: transfers that resume, and safe unpacking."""
