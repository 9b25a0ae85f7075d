"""The scores of the best checkpoints of several runs on the same faces."""

from contextlib import ExitStack

import numpy as np

from senet_kp.face.scheme import scheme_of
from senet_kp.input.crops import load_crops
from senet_kp.report import bootstrap
from senet_kp.scoring.contamination import check_overlap
from senet_kp.scoring.models import open_model
from senet_kp.scoring.scores import face_errors, list_conditions
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.shards import read_manifest


def compared_results(config, names: list[str]) -> dict:
    """The NME of every run of a CompareRunsConfig, and of the first one minus each of the others.

    Raises InputError for records that cannot be read or are not those of the runs, ModelError for a
    run that cannot be used, and CheckError for a run that was trained on the faces.
    """
    manifest = read_manifest(config.records)
    crops = load_crops(config.records, manifest, config.side)
    with ExitStack() as opened:  # all runs first, so that errors show before the long part
        models = [
            opened.enter_context(open_model(run, config.records, manifest)) for run in config.runs
        ]
        overlaps = check_overlap(models, config, manifest)
        predicted = [model.predict(crops.images) for model in models] if len(crops) else []
    scheme = scheme_of(manifest)
    nmes = [face_errors(points, crops, scheme, config.normaliser).nmes for points in predicted]
    scored = np.isfinite(nmes[0]) if nmes else np.zeros(0, bool)
    if not scored.any():
        raise InputError(
            f"{config.records}: no face on the {config.side} side has the landmarks that the"
            f" normaliser {config.normaliser} needs; choose another --side or --normaliser, or pass"
            " --curves-only"
        )
    groups = np.array(crops.groups)[scored]
    return {
        "conditions": {
            "metric": "NME",
            "normaliser": config.normaliser,
            **list_conditions(manifest, config.side),
            "faces": len(groups),
            "faces_not_scored": len(crops) - len(groups),
            "groups": len(set(groups)),
            "interval": {"level": bootstrap.LEVEL, "method": bootstrap.METHOD, "seed": config.seed},
        },
        "runs": [
            {
                "name": name,
                "checkpoint": model.conditions["model"],
                "overlap": overlap,
                **bootstrap.estimates({"nme": np.mean}, values[scored], groups, config.seed),
            }
            for name, model, overlap, values in zip(names, models, overlaps, nmes, strict=True)
        ],
        "comparisons": [
            {
                "first": names[0],
                "other": name,
                **bootstrap.paired(nmes[0][scored], values[scored], groups, config.seed),
            }
            for name, values in zip(names[1:], nmes[1:], strict=True)
        ],
    }
