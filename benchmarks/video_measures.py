"""Errors of the landmarks that are found in clips whose landmarks are known in every frame."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.clips.clip import FPS, Clip
from senet_kp.face.facebox import BoxRule, face_box
from senet_kp.face.measures import eye_aspect_ratios
from senet_kp.face.metrics import mean_of_found, nme, normalised_errors, normaliser
from senet_kp.face.scheme import LandmarkScheme
from senet_kp.inference.box_transform import iou
from senet_kp.inference.predictor import Face
from senet_kp.tracking.assignment import overlapping
from senet_kp.tracking.blinks import BlinkCounter

NORMALISER = "inter-ocular"
SAME_IOU = 0.5  # of the face boxes of found and true landmarks, if both are of one face
LEAST_VISIBLE = 0.5  # a face of which less is visible need not be found, and may be
MOST_LAG = 5  # frames
REOPENED_FRAMES = 8  # after closed eyes, in which they are open again and the blink is counted


@dataclass(frozen=True)
class Followed:
    """What was found of the F faces of a clip in its T frames.

    The faces of a frame that need not be found have neither truth nor predictions there.
    """

    truth: np.ndarray
    """[T, F, N, 2] in pixels, NaN where the face need not be found"""
    predicted: np.ndarray
    """[T, F, N, 2] in pixels, NaN where the face was not found"""
    ids: np.ndarray
    """[T, F] float, NaN where the face was not found, or faces have no identities"""
    closed: np.ndarray | None
    """[T, F] bool, whether the face's eyes are closed; None if that is not known"""
    false: int | None
    """number of found faces that are none of the clip's; None if the clip has others, too"""


class Measures(NamedTuple):
    """Measures of one or more clips; None for what cannot be measured."""

    nme: float | None
    nmf: float | None
    lag_frames: float | None
    blink_f1: float | None
    switches: int | None
    lost: int
    faces: int
    false: int | None
    frames: int


def measures(clips: list[Followed], scheme: LandmarkScheme) -> Measures:
    """The measures of some clips together."""
    known = all(one.false is not None for one in clips)
    identified = any(np.isfinite(one.ids).any() for one in clips)
    needed = [np.isfinite(one.truth).all(axis=(2, 3)) for one in clips]
    found = [np.isfinite(one.predicted).all(axis=(2, 3)) for one in clips]
    return Measures(
        nme=_known(mean_of_found(np.concatenate([_nmes(one, scheme) for one in clips]))),
        nmf=_known(flicker(clips, scheme)),
        lag_frames=_known(lag_frames(clips, scheme)),
        blink_f1=_known(blink_f1(clips)),
        switches=sum(identity_switches(one.ids) for one in clips) if identified else None,
        lost=sum(int((a & ~b).sum()) for a, b in zip(needed, found, strict=True)),
        faces=sum(int(one.sum()) for one in needed),
        false=sum(one.false for one in clips) if known else None,
        frames=sum(len(one.truth) for one in clips),
    )


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


# ---- which found face is which true one


def followed(clip: Clip, frames: list[list[Face]]) -> Followed:
    """Match the faces that were found in each frame of a clip to the true ones.

    As in the CLEAR MOT metrics (Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking
    Performance", EURASIP Journal on Image and Video Processing 2008), a pair of the frame before
    stays if it still overlaps, and the other faces are paired so that the sum of overlaps is
    largest. Faces that need not be found are paired last.
    """
    truth = np.where((clip.visible >= LEAST_VISIBLE)[..., None, None], clip.landmarks, np.nan)
    predicted, ids = np.full(truth.shape, np.nan), np.full(truth.shape[:2], np.nan)
    false, last = 0, {}
    for number, faces in enumerate(frames):
        needed = clip.visible[number] >= LEAST_VISIBLE
        pairs = _pairs(_boxes(clip.landmarks[number]), faces, needed, last)
        false += len(faces) - len(pairs)
        last = {true: faces[found].id for true, found in pairs.items()}
        for true, found in pairs.items():
            if needed[true]:
                predicted[number, true] = faces[found].landmarks
                ids[number, true] = np.nan if faces[found].id is None else faces[found].id
    return Followed(truth, predicted, ids, clip.closed, false if clip.all_known else None)


def _boxes(shapes) -> list[np.ndarray]:
    return [face_box(landmarks, BoxRule()) for landmarks in shapes]


def _pairs(true_boxes, faces: list[Face], needed, last: dict[int, int]) -> dict[int, int]:
    """{number of the true face: number of the found one}; last: {true face: its last id}."""
    boxes = _boxes([face.landmarks for face in faces])
    by_id = {face.id: found for found, face in enumerate(faces) if face.id is not None}
    pairs = {
        true: by_id[identity]
        for true, identity in last.items()
        if needed[true]
        and identity in by_id
        and iou(true_boxes[true], boxes[by_id[identity]]) >= SAME_IOU
    }
    for group in (needed, ~needed):
        true = [n for n in np.flatnonzero(group) if n not in pairs]
        free = [n for n in range(len(faces)) if n not in pairs.values()]
        chosen = overlapping([true_boxes[n] for n in true], [boxes[n] for n in free], SAME_IOU)
        pairs |= {true[one]: free[other] for one, other in chosen.items()}
    return pairs


def identity_switches(ids) -> int:
    """How often a true face is found with another id than the last time; ids [T, F], NaN if not.

    These are the mismatches of the CLEAR MOT metrics.
    """
    known = [column[np.isfinite(column)] for column in np.asarray(ids, float).T]
    return sum(int((column[1:] != column[:-1]).sum()) for column in known)


# ---- errors of landmarks


def _lengths(truth, scheme: LandmarkScheme) -> np.ndarray:
    """The inter-ocular distances [T, F] of landmarks [T, F, N, 2], NaN where these are."""
    flat = truth.reshape(-1, *truth.shape[2:])
    mask = np.isfinite(flat).all(axis=2)
    return normaliser(flat, mask, scheme, NORMALISER).reshape(truth.shape[:2])


def _nmes(one: Followed, scheme: LandmarkScheme) -> np.ndarray:
    """The NMEs [T x F] of the faces, NaN where one is not found or need not be."""
    predicted, truth = (
        shapes.reshape(-1, scheme.count, 2) for shapes in (one.predicted, one.truth)
    )
    mask = np.isfinite(truth).all(axis=2)
    return nme(normalised_errors(predicted, truth, mask, scheme, NORMALISER))


def flicker(clips: list[Followed], scheme: LandmarkScheme) -> float:
    """The normalised mean flicker (NMF): how much landmarks jitter, whatever their mean error.

    It is the root mean square, over landmarks and pairs of successive frames, of the change of the
    error vector, divided by the inter-ocular distance. Micaelli et al., "Recurrence without
    Recurrence: Stable Video Landmark Detection with Deep Equilibrium Models", CVPR 2023. NaN if no
    face was found in two successive frames.
    """
    squares = []
    for one in clips:
        change = np.diff(one.predicted - one.truth, axis=0)
        square = (change**2).sum(axis=3) / _lengths(one.truth, scheme)[1:, :, None] ** 2
        squares.append(square[np.isfinite(square)])
    squares = np.concatenate(squares)
    return float(np.sqrt(squares.mean())) if len(squares) else np.nan


def lag_frames(clips: list[Followed], scheme: LandmarkScheme) -> float:
    """By how many frames predicted landmarks follow the true ones; negative if they go ahead.

    It is the shift in time at which the velocities of predicted and true landmarks, in inter-ocular
    distances, correlate most, refined by a parabola through that correlation and its two
    neighbours. NaN if faces were found in too few frames or do not move.
    """
    pairs = [velocities for one in clips for velocities in _velocities(one, scheme)]
    shifts = range(-MOST_LAG, MOST_LAG + 1)
    correlations = [_correlation(pairs, shift) for shift in shifts]
    if not np.isfinite(correlations).all():
        return np.nan
    best = int(np.argmax(correlations))
    if not 0 < best < len(correlations) - 1:
        return float(shifts[best])
    before, peak, after = correlations[best - 1 : best + 2]
    return float(shifts[best] + (before - after) / (2 * (before - 2 * peak + after)))


def _velocities(one: Followed, scheme: LandmarkScheme):
    """Yield predicted and true velocities [T - 2, 2N] of each face, NaN where they are not known.

    They are central differences, in which jitter is half as strong as from frame to frame.
    """
    lengths = 2 * _lengths(one.truth, scheme)[1:-1, :, None, None]
    both = [(points[2:] - points[:-2]) / lengths for points in (one.predicted, one.truth)]
    for face in range(one.truth.shape[1]):
        yield [velocity[:, face].reshape(-1, 2 * scheme.count) for velocity in both]


def _correlation(pairs, shift: int) -> float:
    """The correlation of true velocities and predicted ones `shift` frames later; NaN if none."""
    products = np.zeros(3)
    for predicted, true in pairs:
        frames = np.arange(len(true))
        frames = frames[(frames + shift >= 0) & (frames + shift < len(true))]
        later, now = predicted[frames + shift], true[frames]
        known = np.isfinite(later).all(axis=1) & np.isfinite(now).all(axis=1)
        if known.any():
            later, now = (one[known] - one[known].mean(axis=0) for one in (later, now))
            products += [(later * now).sum(), (later**2).sum(), (now**2).sum()]
    size = np.sqrt(products[1] * products[2])
    return float(products[0] / size) if size > 0 else np.nan


# ---- blinks


def blink_f1(clips: list[Followed]) -> float:
    """The F1 score of the blinks that are counted in the predicted landmarks.

    A blink is found if the times of predicted and truly closed eyes overlap. Blinks at whose end
    the clip ends or the face is hidden need not be found. NaN if there is no blink.
    """
    hits = wrong = 0
    for one in (one for one in clips if one.closed is not None):
        for face in range(one.truth.shape[1]):
            found, true = _counted_blinks(one.predicted[:, face]), _runs(one.closed[:, face])
            needed = np.isfinite(one.truth[:, face]).all(axis=(1, 2))
            for start, end in true:
                met = any(_overlap((start, end), other) for other in found)
                seen = needed[start : end + REOPENED_FRAMES]
                whole = end + REOPENED_FRAMES <= len(needed) and bool(seen.all())
                hits += met
                wrong += whole and not met
            wrong += sum(not any(_overlap(blink, other) for other in true) for blink in found)
    return 2 * hits / (2 * hits + wrong) if hits + wrong else np.nan


def _counted_blinks(landmarks) -> list[tuple[int, int]]:
    """The first frame and that after the last one of each blink; landmarks [T, N, 2], with NaN."""
    counter, found, before, start = BlinkCounter(), [], 0, None
    for frame in np.flatnonzero(np.isfinite(landmarks).all(axis=(1, 2))):
        ratios = eye_aspect_ratios(landmarks[frame])
        closed, blinks = counter.update(ratios, frame / FPS)
        if blinks > before:
            found.append((start, frame))
        start = (frame if start is None else start) if closed else None
        before = blinks
    return found


def _runs(values) -> list[tuple[int, int]]:
    """The first number and that after the last one of each run of true values [T]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], values, [False]]).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]
