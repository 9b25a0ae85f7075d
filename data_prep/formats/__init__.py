"""The formats on disk, by the name that `--format` takes.

Each is a module with NAME, SCHEME, LABELS (the points to choose from, the usual ones first),
EXPECTS (in words, what lies in its folder), recognises(root), scan(root, flips, points),
survey(root, sources), terms(sources) and
read_label(source, data, points, scheme). SCHEME is what its labels hold unless `--scheme` says
otherwise.
"""

from senet_kp.data_prep.formats import aflw2000, imglab, kaggle, lp300w, own_csv, p1, pts, wflw

READERS = (lp300w, p1, pts, imglab, own_csv, kaggle, wflw, aflw2000)
FORMATS = {reader.NAME: reader for reader in READERS}


def labels_of(format: str, points: str) -> str:
    """The points of a format that `--points` asks for; its usual ones where it has no such.

    What stands behind "=" names the file that they are in.
    """
    labels, asked = FORMATS[format].LABELS, points.partition("=")[0]
    return asked if asked in labels else labels[0]
