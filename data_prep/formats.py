"""The formats on disk, by the name that `--format` takes.

Each is a module with SCHEME, scan(root, flips), survey(root, sources) and
read_label(source, data, points).
"""

from data_prep import lp300w

FORMATS = {"300w-lp": lp300w}
