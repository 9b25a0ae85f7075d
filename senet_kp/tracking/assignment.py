"""Which detected face is which tracked one."""

import numpy as np

from senet_kp.face.turned import similarity
from senet_kp.inference.box_transform import iou
from senet_kp.inference.predictor import Face
from senet_kp.tracking.track import Track, Way

# A face that reappears may be this far from where its motion has led, in its sizes: what it may
# have strayed at once, and for each second in which it was not seen.
STRAY, STRAY_PER_S = 0.5, 1.5
MOST_SIZE_RATIO = 1.5  # and this much larger or smaller
SHAPE_WEIGHT = 4.0  # of the shapes' distance beside that of the places, both in sizes


def overlapping(boxes, others, least_iou: float) -> dict[int, int]:
    """The pairs {number in boxes: number in others} with the largest sum of overlaps.

    boxes, others: [x, y, w, h] in pixels. A pair overlaps by at least least_iou, an intersection
    over union.
    """
    from scipy.optimize import linear_sum_assignment  # 0.2 s that pictures need not wait for

    overlaps = np.array([[iou(one, other) for other in others] for one in boxes])
    if not overlaps.size:
        return {}
    rows, columns = linear_sum_assignment(-overlaps)
    return {
        int(row): int(column)
        for row, column in zip(rows, columns, strict=True)
        if overlaps[row, column] >= least_iou
    }


def nearest_lost(face: Face, lost: list[Track], time_s: float) -> Track | None:
    """The lost track that a face continues: by place, size and shape; None if none is near."""
    costs = [(_cost(face, track, time_s), number) for number, track in enumerate(lost)]
    cost, number = min(costs, default=(None, None))
    return None if cost is None or np.isinf(cost) else lost[number]


def _cost(face: Face, track: Track, time_s: float) -> float:
    """How much a face differs from a track, in sizes of the face; infinite if it is another.

    What hid the face may have carried the track along before it was lost, as another face or
    without one; the better of the two ways counts.
    """
    ways = (track.free_way, track.sure_way)
    apart = min(_distance(face.landmarks, way, time_s) for way in ways)
    return apart + SHAPE_WEIGHT * shape_distance(face.landmarks, track.face.landmarks)


def _distance(landmarks, way: Way, time_s: float) -> float:
    """How far landmarks are from where a way leads, in sizes; infinite beyond what is possible."""
    distance = np.linalg.norm(landmarks.mean(axis=0) - way.centre_at(time_s)) / way.size_px
    ratio = np.ptp(landmarks, axis=0).max() / way.size_px
    reach = STRAY + STRAY_PER_S * (time_s - way.time_s)
    if distance > reach or max(ratio, 1 / ratio) > MOST_SIZE_RATIO:
        return np.inf
    return float(distance)


def shape_distance(landmarks, others) -> float:
    """The root mean square distance of landmarks [N, 2] after a similarity transform of the others
    onto them, in sizes of the face."""
    turn, move = similarity(others, landmarks)
    rest = np.asarray(landmarks) @ (1, 1j) - (turn * (np.asarray(others) @ (1, 1j)) + move)
    return float(np.sqrt((abs(rest) ** 2).mean()) / np.ptp(landmarks, axis=0).max())
