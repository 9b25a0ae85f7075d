"""The labelled pictures that benchmarks of whole predictions read, and the face boxes in them."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.crop_record import Cropped, crop_record, labelled_face
from senet_kp.data_prep.crop_rule import CropRule
from senet_kp.data_prep.formats import FORMATS
from senet_kp.data_prep.formats.face_sample import FaceLabel, FaceSource, Rejected
from senet_kp.data_prep.recognise import recognise
from senet_kp.face.facebox import BoxRule, face_box
from senet_kp.face.scheme import scheme_of
from senet_kp.inference.box_transform import MIN_IOU, iou
from senet_kp.inference.detections import Detection
from senet_kp.inference.face_detector import FaceDetector
from senet_kp.inference.model_card import box_rule, read_card
from senet_kp.scoring.fingerprint_file import read_faces
from senet_kp.tfrecords.errors import InputError
from senet_kp.tfrecords.fingerprints import (
    Fingerprints,
    crop_of,
    fingerprints_of,
    hash_bits,
    meetings,
)

LABELS = "labels"


def labelled_pictures(
    data: Path, models: Iterable[Path], pictures: int = 0, seed: int = 0
) -> list[tuple[Path, FaceLabel]]:
    """The picture files and labels of a data set, in the order of their names.

    models: those that are to be measured, of one landmark scheme. Pictures that one of them learned
    are left out, and a line names them. pictures: how many are drawn at random with `seed`; 0 for
    all. Raises InputError for a label that does not have the models' landmarks.
    """
    sources = FORMATS[recognise(data)].scan(data, False, PrepareConfig(()).points)
    drawn = np.random.default_rng(seed).permutation(len(sources))
    sources = [sources[i] for i in np.sort(drawn[: pictures or None])]
    cards = {model: read_card(model) for model in models}
    learned = _learned(sources, cards)
    if learned:
        names = ", ".join(sorted(learned))
        print(f"{data}: {len(learned)} pictures that a model learned are left out: {names}")
    rule = CropRule(BoxRule(), 1.0, 95, scheme_of(next(iter(cards.values()))))
    return [(s.picture, _label(s, rule)) for s in sources if s.name not in learned]


def _learned(sources: list[FaceSource], cards: dict[Path, dict]) -> set[str]:
    """The names of the faces that a model learned, by the files of fingerprints beside the models.

    cards: {model: its card}, all of one landmark scheme
    """
    found, scored = set(), {}
    for model, card in cards.items():
        rule = CropRule(box_rule(card), PrepareConfig(()).context, 95, scheme_of(card))
        crop = crop_of({"box": asdict(rule.box), "stored_px": rule.stored_px})
        for faces in read_faces(model, card).values():
            if rule.box not in scored:
                scored[rule.box] = _fingerprints(sources, rule)
            shared = meetings(scored[rule.box], faces.fingerprints, faces.crop == crop)
            found |= {meeting.name for meeting in shared}
    return found


def _fingerprints(sources: list[FaceSource], rule: CropRule) -> Fingerprints:
    """The fingerprints of the faces that can be cropped."""
    cropped = [(source, crop_record(source, rule)) for source in sources]
    usable = [(source, one) for source, one in cropped if isinstance(one, Cropped)]
    return fingerprints_of(
        [source.name for source, _ in usable],
        [source.group for source, _ in usable],
        [one.bytes_hash for _, one in usable],
        hash_bits([one.picture_hash for _, one in usable]),
    )


def _label(source: FaceSource, rule: CropRule) -> FaceLabel:
    try:
        return labelled_face(source, rule)[1]
    except Rejected as error:
        raise InputError(f"{source.picture}: {error}; choose a model for these labels") from None


def boxes_in(picture, landmarks, rule: BoxRule, detectors: list[FaceDetector]) -> dict:
    """{"labels", "dlib" or "YuNet": the Detection of a labelled face, None if it was not found}.

    landmarks [n, 2]: those of the face that are labelled, in pixels.
    """
    true_box = face_box(landmarks, rule)
    found = {name_of(one): _best(one.detect(picture), true_box) for one in detectors}
    return {LABELS: Detection(true_box, None), **found}


def name_of(detector: FaceDetector) -> str:
    """The name by which a table shows a detector: "dlib" or "YuNet"."""
    return str(detector).split(" ")[0].strip(",")


def _best(found: list[Detection], true_box) -> Detection | None:
    best = max(found, key=lambda one: iou(one.box, true_box), default=None)
    return best if best is not None and iou(best.box, true_box) >= MIN_IOU else None
