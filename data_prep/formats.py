"""The formats on disk, by the name that `--format` takes.

Each is a module with NAME, SCHEME, LABELS (the points to choose from), EXPECTS (in words, what
lies in its folder), recognises(root), scan(root, flips), survey(root, sources), terms(sources) and
read_label(source, data, points, scheme). SCHEME is what its labels hold unless `--scheme` says
otherwise.
"""

from data_prep import imglab, lp300w, own_csv, p1, pts

FORMATS = {reader.NAME: reader for reader in (lp300w, p1, pts, imglab, own_csv)}
