"""Smaller files that users write or pass on: boxes, schemes, predictions, tables of Kaggle."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from senet_kp.data_prep.formats.kaggle import FEATURES, rows
from senet_kp.data_prep.kaggle_submission import COLUMNS, read_lookup
from senet_kp.demo.command import predict
from senet_kp.demo.facts import FaceFacts
from senet_kp.demo.head_pose import rotations_of
from senet_kp.demo.results import describe, draw_faces
from senet_kp.demo.sources import read_boxes
from senet_kp.face.facebox import BoxRule, face_box
from senet_kp.face.known_schemes import IBUG68, read_scheme
from senet_kp.face.pictures import grey_picture
from senet_kp.inference.predictor import Face, LandmarkPredictor
from senet_kp.report.predictions import read_predictions
from senet_kp.tfrecords.files import write_json
from tests.faults import sets
from tests.faults.targets import Target


class Boxes(Target):
    """The demo's file of face boxes. Whole entries give the same landmarks."""

    def __init__(self, root: Path):
        self.root, self.damaged = root, [root / "boxes.json"]
        boxes = {}
        for face, (_, points) in enumerate(sets.faces()):
            box = face_box(points, BoxRule()).tolist()
            boxes[f"photo{face}.jpg"] = [box, [10, 10, 50, 50]]
        write_json(self.damaged[0], boxes)
        self._predictor = LandmarkPredictor()

    def use(self) -> dict[str, list]:
        boxes = read_boxes(str(self.damaged[0]))
        found = {}
        for face, (picture, _) in enumerate(sets.faces()):
            name, picture = f"photo{face}.jpg", picture.copy()
            faces = predict(picture, name, self._predictor, boxes)
            rotations = rotations_of(faces)
            facts = FaceFacts(self._predictor, measures=True).of(picture, faces, rotations)
            json.dumps(describe(name, None, picture, faces, facts), allow_nan=False)
            draw_faces(picture, faces, self._predictor.scheme, rotations)
            found[name] = faces
        return found

    def problem(self, result, file, old, new, how) -> str | None:
        entries = json.loads(new)
        for name, faces in result.items():
            if not all(np.isfinite(face.landmarks).all() for face in faces):
                return f"{name}: landmarks that are not finite"
            if entries.get(name) == json.loads(old)[name]:
                pairs = zip(faces, self.whole[name], strict=True)
                if not all(np.array_equal(a.landmarks, b.landmarks) for a, b in pairs):
                    return f"{name}: other landmarks in the same boxes"
        return None


class Scheme(Target):
    """A landmark scheme of the user's own."""

    def __init__(self, root: Path):
        self.root, self.damaged = root, [root / "own.json"]
        write_json(self.damaged[0], IBUG68.facts())

    def use(self):
        scheme = read_scheme(str(self.damaged[0]))
        scheme.mirror(np.zeros((scheme.count, 2)))
        json.dumps(scheme.facts(), allow_nan=False)
        if scheme.count == IBUG68.count:
            picture, points = sets.faces()[0]
            draw_faces(picture.copy(), [Face(np.array([0, 0, 9, 9]), None, points)], scheme)
        return scheme

    def problem(self, result, file, old, new, how) -> str | None:
        flip = np.array(result.flip)
        if (flip[flip] != np.arange(len(flip))).any():
            return "its mirror table is not its own inverse"
        return None


class PredictionLines(Target):
    """Predictions of another program, which `senet-kp report` scores."""

    def __init__(self, root: Path):
        self.root, self.damaged = root, [root / "predictions.jsonl"]
        names = [f"photo{face}.jpg" for face in range(sets.FACES)]
        points = np.stack([points for _, points in sets.faces()])
        boxes = [face_box(each, BoxRule()) for each in points]
        affine = np.array([[[b[2], 0, b[0]], [0, b[3], b[1]]] for b in boxes])
        relative = np.stack([(p - b[:2]) / b[2:] for p, b in zip(points, boxes, strict=True)])
        self._crops = SimpleNamespace(
            landmarks=relative, mask=np.ones((len(names), 68), bool), names=names, affine=affine
        )
        lines = [
            json.dumps({"source": name, "faces": [{"landmarks": p.round(3).tolist(), "box": b}]})
            for name, p, b in zip(names, points, map(np.ndarray.tolist, boxes), strict=True)
        ]
        self.damaged[0].write_text("\n".join(lines) + "\n")

    def use(self) -> np.ndarray:
        return read_predictions(self.damaged[0], self._crops).points

    def problem(self, result, file, old, new, how) -> str | None:
        if np.isinf(result).any():
            return "landmarks that are infinite"
        whole = [line in new.splitlines() for line in old.splitlines()]
        for face, kept in enumerate(whole):
            same = np.array_equal(result[face], self.whole[face], equal_nan=True)
            if kept and not same and not np.isnan(result[face]).all():
                return f"other landmarks from the whole line {face}"
        return None


class KaggleTables(Target):
    """The two tables of which a submission to Kaggle is made."""

    def __init__(self, root: Path):
        self.root, self.damaged = root, [root / "test.csv", root / "IdLookupTable.csv"]
        pixels = " ".join(map(str, range(96))).split() * 96
        lines = ["ImageId,Image", *(f"{image},{' '.join(pixels)}" for image in (1, 2))]
        self.damaged[0].write_text("\n".join(lines) + "\n")
        with open(self.damaged[1], "w", newline="") as file:
            table = csv.writer(file)
            table.writerow([*COLUMNS, "Location"])
            table.writerows([[i + 1, i % 2 + 1, FEATURES[i], ""] for i in range(30)])

    def use(self):
        wanted = read_lookup(self.damaged[1])
        pictures = {}
        for _, before, pixels, cell in rows(self.damaged[0], ("ImageId",)):
            picture = grey_picture(pixels, cell.width_px, str(self.damaged[0]))
            pictures[before.decode(errors="replace").strip('" ')] = picture
        return wanted, pictures

    def problem(self, result, file, old, new, how) -> str | None:
        wanted, pictures = result
        names = {FEATURES[i] for i in range(30)}
        if not all(0 <= index < len(names) for *_, index in wanted):
            return "a coordinate that does not exist"
        shapes = {picture.shape for picture in pictures.values()}
        return None if shapes <= {(96, 96, 3)} else f"pictures of {shapes}"
