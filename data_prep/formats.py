"""The formats on disk, by the name that `--format` takes.

Each is a module with NAME, SCHEME, LABELS (the points to choose from), scan(root, flips),
survey(root, sources), terms(sources) and read_label(source, data, points, scheme). SCHEME is what
its labels hold unless `--scheme` says otherwise.
"""

from data_prep import lp300w, p1

FORMATS = {reader.NAME: reader for reader in (lp300w, p1)}
