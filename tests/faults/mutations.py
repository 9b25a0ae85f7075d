"""Damaged inputs for every reader.

Each input is a file of a small, valid folder, damaged by a mutator of `mutators.py` or
`structured.py`. It counts as
survived if the reader gives what the undamaged parts justify, or an error of one line that names a
file. It fails with any other exception, a crash, more than 10 s or more than 1 GB of memory, or a
wrong result. `input_of` (worker.py) makes the same input again from its kind, seed and number; the
folder `failures` keeps the damaged files.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tqdm import tqdm

from tests.faults import record_targets, sets, structured
from tests.faults.model_targets import Detector, Exported, ForeignDat, Model
from tests.faults.mutators import BYTES, TEXT
from tests.faults.record_targets import Records
from tests.faults.run_targets import Checkpoint, RunTexts
from tests.faults.structured import JSON
from tests.faults.table import Row
from tests.faults.targets import DataSet, Picture
from tests.faults.text_targets import Boxes, KaggleTables, PredictionLines, Scheme
from tests.faults.worker import Kind, Worker

FAULT = "damaged bytes"


def _labels(build, **options) -> partial:
    return partial(DataSet, build=build, **options)


def _picture(suffix: str, **options) -> partial:
    return partial(Picture, suffix=suffix, **options)


_JPEG = [*BYTES, structured.jpeg_size]
_PNG = [*BYTES, structured.png_chunk, structured.png_size]
_SHARD = [*BYTES, *[structured.resealed_record] * 4]
_LINES = {"by_line": True}

KINDS = [
    Kind("JPEG", _picture(".jpg"), _JPEG, 8),
    Kind("PNG", _picture(".png", sealed=True), _PNG, 6),
    Kind("WebP", _picture(".webp"), BYTES, 2),
    Kind("TIFF", _picture(".tif"), BYTES, 2),
    Kind("BMP", _picture(".bmp"), BYTES, 1),
    Kind("PPM", _picture(".ppm"), BYTES, 1),
    Kind("GIF named .jpg", _picture(".gif", name="photo.jpg"), BYTES, 1),
    Kind("300W-LP .mat", _labels(sets.lp300w, text=False), BYTES, 5),
    Kind("AFLW2000-3D .mat", _labels(sets.aflw2000_3d, text=False), BYTES, 3),
    Kind(
        "AFLW2000-3D corrected points",
        _labels(sets.reannotated, text=False, points="reannotated"),
        BYTES,
        2,
    ),
    Kind(".pts", _labels(sets.pts_files, first_pixel=1), TEXT, 6),
    Kind("csv", _labels(sets.own_csv, **_LINES), TEXT, 6),
    Kind("imglab XML", _labels(sets.imglab, **_LINES), TEXT, 6),
    Kind("Kaggle csv", _labels(sets.kaggle_table, **_LINES), TEXT, 4),
    Kind("WFLW lists", _labels(sets.wflw_lists, **_LINES), TEXT, 4),
    Kind("P1 csv", _labels(sets.p1_table, **_LINES), TEXT, 3),
    Kind("CelebA lists", _labels(sets.celeba_lists, **_LINES), TEXT, 3),
    Kind("LaPa .txt", _labels(sets.lapa_folders), TEXT, 2),
    Kind("BioID .pts", _labels(sets.bioid_folders), TEXT, 2),
    Kind("COFW .mat", _labels(sets.cofw_file, text=False), BYTES, 3),
    Kind("AFLW crops csv", _labels(sets.aflw_crops, **_LINES), TEXT, 2),
    Kind("AFLW database", _labels(sets.aflw_database, text=False), BYTES, 3),
    Kind("TFRecord shards", partial(Records, damaged=record_targets.shards), _SHARD, 6),
    Kind("manifest.json", partial(Records, damaged=record_targets.manifest), JSON, 6),
    Kind("split.csv", partial(Records, damaged=record_targets.split), TEXT, 2),
    Kind("frozen graph .pb", partial(Model, part="model"), BYTES, 3),
    Kind("model card", partial(Model, part="card"), JSON, 6),
    Kind("fingerprints", partial(Model, part="fingerprints"), BYTES, 2),
    Kind("ONNX", partial(Exported, suffix=".onnx"), BYTES, 2),
    Kind("dlib .dat", partial(Exported, suffix=".dat"), BYTES, 1),
    Kind("dlib .dat without a card", ForeignDat, BYTES, 2),
    Kind("detector ONNX", Detector, BYTES, 2),
    Kind("boxes JSON", Boxes, JSON, 3),
    Kind("scheme JSON", Scheme, JSON, 3),
    Kind("predictions JSON lines", PredictionLines, TEXT, 3),
    Kind("Kaggle submission tables", KaggleTables, TEXT, 2),
    Kind("run's settings and tables", RunTexts, [*JSON, *TEXT], 5),
    Kind("checkpoint", Checkpoint, BYTES, 4),
    Kind("TFLite", partial(Exported, suffix=".tflite"), BYTES, 2),
]

# What was mended thanks to these inputs, by the operation of the row.
MENDED: dict[str, list[str]] = {
    "JPEG": [
        "A few changed bytes in the header made a file of 9 KB take 5 GB of memory and 10 s: a"
        " header that states more than 250 million pixels is refused before decoding, also of PNG,"
        " GIF and BMP files (reason too-large).",
    ],
    "AFLW2000-3D corrected points": [
        "A damaged header of a .npy file ended in a traceback of NumPy's parser; files of"
        " fingerprints are read by the same function now.",
    ],
    "CelebA lists": ["A zero byte in the name of a picture costs that picture, not the command."],
    ".pts": [
        "The text 1_0 was read as the number 10, as in Python, by the readers of all text formats.",
    ],
    "COFW .mat": [
        "Damaged HDF5 files raise errors of five kinds, of which two were expected; Keras's weights"
        " are read in the same way now.",
    ],
    "AFLW database": [
        "Text that is not UTF-8, and values of another type than their column, ended in a"
        " traceback.",
    ],
    "manifest.json": [
        "Infinity and 1e999, which JSON does not have, were read as numbers, and writing them again"
        " ended in a traceback: every JSON file that holds them is damaged.",
        "Values that were missing or of another type ended in tracebacks of a dozen kinds: all are"
        " checked when the manifest is read, and the message names the place.",
        "A manifest could name shards outside its folder, and sizes that contradict each other or"
        " the stored pictures.",
        "JSON files that are nested too deeply ended in a traceback of the parser.",
        "Training without a train side ended in a traceback.",
        "verify compares the hash of all records with those of the shards.",
    ],
    "split.csv": ["Fingerprints of an altered split.csv were compared as if they were right."],
    "model card": [
        "The same as for manifest.json: values, and input, output, box and landmark scheme, which"
        " must agree with each other and with what the graph predicts.",
    ],
    "detector ONNX": [
        "OpenCV crashes on one damaged ONNX file in a hundred: a process of its own tries the file"
        " first, because it has no card with a hash.",
    ],
    "boxes JSON": ["Whole numbers that no float can hold ended in a traceback."],
    "scheme JSON": ["A scheme of a billion landmarks took all memory; 10,000 are the most."],
    "predictions JSON lines": ["Whole numbers that no float can hold ended in a traceback."],
    "run's settings and tables": [
        "Damaged config.json, best.json, metrics.csv and progress.json ended in tracebacks when a"
        " training was resumed.",
    ],
    "checkpoint": [
        "A damaged list of checkpoints ended in a traceback, or was taken for a run without any, so"
        " that the training began again at step 0: the newest checkpoint is found without it.",
    ],
}


def run(seed: int, count: int, folder: Path, kinds: list[Kind] = KINDS) -> Iterator[Row]:
    """Damage and read `count` inputs, each kind by its weight and at least one; yield their rows.

    folder: for the files, and for the damaged files of the failures
    """
    worker, total = Worker(Path(folder)), sum(kind.weight for kind in kinds)
    try:
        for kind in kinds:
            row = Row(kind.name, FAULT)
            numbers = range(max(round(count * kind.weight / total), 1))
            for number in tqdm(numbers, desc=kind.name, unit="input", disable=None):
                row.count(worker.trial(kind, seed, number))
            yield row
    finally:
        worker.close()


def main():
    """python -m tests.faults.mutations SEED COUNT FOLDER [NAME]: only kinds with NAME in theirs."""
    import sys

    seed, count, folder, *name = sys.argv[1:]
    kinds = [kind for kind in KINDS if not name or name[0] in kind.name]
    for row in run(int(seed), int(count), Path(folder), kinds):
        print(f"{row.operation}: {row.tried} tried, {len(row.failures)} failed", flush=True)
        print(*(f"    {failure}" for failure in row.failures), sep="\n", flush=True)


if __name__ == "__main__":
    main()
