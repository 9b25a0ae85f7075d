"""Data augmentation, and the order of the samples in training."""

import dataclasses

import numpy as np
import pytest
from conftest import make_picture, run_module
from hypothesis import given, settings
from hypothesis import strategies as st

from senet_kp.face.known_schemes import IBUG68, KAGGLE15
from senet_kp.face.pictures import read_picture
from senet_kp.input import augment as augment_module
from senet_kp.input.augment import NO_AUGMENTATION, AugmentConfig, Augmenter, augment
from senet_kp.input.distributions import write_distributions
from senet_kp.input.pipeline import InputConfig, training_batch
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.shards import read_manifest, read_records

ZEROS = {field.name: 0.0 for field in dataclasses.fields(AugmentConfig) if field.type is float}
NONE = AugmentConfig(**ZEROS | {"jpeg_quality": 50})
GEOMETRY = dataclasses.replace(NONE, flip=0.5, rotation_deg=12.0, stretch=0.05, box_jitter=1.0)
SPREAD = (0.05, 0.05, 0.1)


def sample(seed=0):
    """A stored picture [192, 192, 3] with dots on its landmarks, box-relative landmarks, mask."""
    points = np.random.default_rng(seed).uniform(0.2, 0.8, (68, 2)).astype(np.float32)
    picture = make_picture(points * 128 + 32 - 0.5, (192, 192), seed)
    return picture, points, np.ones(68, np.float32)


def run_augment(sample, config, seed=0):
    random = np.random.default_rng(seed)
    return augment(*sample, random, 128, SPREAD, IBUG68, config)[:3]


@pytest.mark.parametrize("config", [NONE, NO_AUGMENTATION])
def test_without_strengths_it_is_the_central_crop_to_the_bit(config):
    stored, points, mask = sample()
    image, landmarks, _ = run_augment((stored, points, mask), config)
    np.testing.assert_array_equal(image, stored[32:160, 32:160])
    np.testing.assert_allclose(landmarks, points, atol=1e-6)


def test_flip_mirrors_picture_points_and_mask():
    stored, points, mask = sample()
    mask[36] = 0
    config = dataclasses.replace(NONE, flip=1.0)
    image, landmarks, masks = run_augment((stored, points, mask), config)
    np.testing.assert_array_equal(image, stored[32:160, 32:160][:, ::-1])
    np.testing.assert_allclose(landmarks, IBUG68.mirror(points), atol=1e-6)
    assert masks[45] == 0 and masks.sum() == 67


@given(st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_points_stay_on_their_dots(seed):
    image, landmarks, _ = run_augment(sample(seed % 5), GEOMETRY, seed)
    pixels = np.round(landmarks * 128 - 0.5).astype(int)
    inside = ((pixels >= 1) & (pixels < 127)).all(1)
    values = image[pixels[inside, 1], pixels[inside, 0]].max(axis=1)
    assert inside.sum() > 30 and (values < 75).all()


def test_box_jitter_has_the_spread_of_the_detector():
    """The shift of a face's centre and the log of its scale have the expected deviations."""
    stored, points, mask = sample()
    config = dataclasses.replace(NONE, box_jitter=0.5)
    seen = [run_augment((stored, points, mask), config, seed)[1] for seed in range(600)]
    log_size = np.log(
        [np.ptp(shape, axis=0).mean() / np.ptp(points, axis=0).mean() for shape in seen]
    )
    # Measured in stored boxes, the mean landmark moves from the centre by the shift only.
    moved = np.array([0.5 - shape.mean(0) for shape in seen]) * np.exp(-log_size)[:, None]
    np.testing.assert_allclose(log_size.std(), 0.05, rtol=0.1)
    np.testing.assert_allclose(moved.std(0), [0.025, 0.025], rtol=0.15)


def test_scale_is_even_between_its_ends():
    stored, points, mask = sample()
    config = dataclasses.replace(NONE, scale=0.2)
    shapes = [run_augment((stored, points, mask), config, seed)[1] for seed in range(400)]
    sizes = np.array([np.ptp(shape, axis=0) / np.ptp(points, axis=0) for shape in shapes])
    assert sizes.min() == pytest.approx(0.8, abs=0.01)
    assert sizes.max() == pytest.approx(1.2, abs=0.01)
    np.testing.assert_allclose(sizes.mean(0), 1, atol=0.02)
    assert sizes.std() == pytest.approx(0.4 / 12**0.5, rel=0.1)  # of a uniform distribution


def test_a_uniform_rotation_is_even_up_to_its_largest_angle():
    stored, points, mask = sample()
    config = dataclasses.replace(NONE, rotation="uniform", rotation_deg=15)
    shapes = [run_augment((stored, points, mask), config, seed)[1] for seed in range(400)]
    angles = [turn_deg(points, shape) for shape in shapes]
    assert min(angles) == pytest.approx(-15, abs=0.3) and max(angles) == pytest.approx(15, abs=0.3)
    assert np.std(angles) == pytest.approx(30 / 12**0.5, rel=0.1)  # of a uniform distribution


def turn_deg(points, turned) -> float:
    """The angle by which points [N, 2] were turned about a centre."""
    a, b = ((shape - shape.mean(0)) @ (1, 1j) for shape in (points, turned))
    return float(np.degrees(np.angle(np.vdot(a, b))))


@pytest.mark.parametrize(
    "name",
    ["brightness", "contrast", "gamma", "colour", "grey", "blur", "noise", "jpeg", "patches"],
)
def test_each_strength_changes_the_picture_and_nothing_else(name):
    whole = AugmentConfig()
    always = {"grey", "blur", "noise", "jpeg", "patches"}
    strengths = {
        name: 1.0 if name in always else getattr(whole, name),
        "blur_px": whole.blur_px,
        "noise_level": whole.noise_level,
        "patch_size": whole.patch_size,
    }
    config = dataclasses.replace(NONE, **strengths)
    stored, points, mask = sample()
    image, landmarks, _ = run_augment((stored, points, mask), config)
    plain = stored[32:160, 32:160].astype(int)
    difference = np.abs(image - plain)
    assert image.dtype == np.uint8 and 0.1 < difference.mean() < 90
    np.testing.assert_allclose(landmarks, points, atol=1e-6)
    if name == "grey":
        assert (image == image[..., :1]).all()
    if name == "patches":
        changed = np.argwhere(difference.max(2) > 0)
        (top, left), (bottom, right) = changed.min(0), changed.max(0)
        patch = image[top : bottom + 1, left : right + 1]
        assert (patch == patch[0, 0]).all() and max(patch.shape[:2]) <= 0.35 * 128 + 2


def test_brightness_and_contrast_are_linear_and_one_table():
    """Contrast and brightness map a grey ramp to a straight line where it is not clipped."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :192, None], 192, 0).repeat(3, 2)
    config = dataclasses.replace(NONE, contrast=0.2, brightness=0.1)
    image, _, _ = run_augment((ramp, *sample()[1:]), config)
    line = image[0, :, 0].astype(float)
    line = line[(line > 2) & (line < 253)]
    assert len(line) > 60 and np.abs(np.diff(line, 2)).max() <= 2  # rounding only


# --- training batches ---


def batches(records, start, count, threads=2, seed=3, sides=("train",)):
    with tf.Graph().as_default():
        inputs = InputConfig(records, sides, batch_size=8, seed=seed, threads=threads)
        batch, initialise = training_batch(inputs, read_manifest(records), start)
        with tf.Session() as session:
            session.run(initialise)
            fetch = (batch.name, batch.image, batch.landmarks, batch.wait_s)
            return [session.run(fetch) for _ in range(count)]


def test_batches_depend_on_seed_and_step_alone(records):
    whole = batches(records, 0, 12)
    part = batches(records, 9, 3, threads=1)
    for there, here in zip(whole[9:], part, strict=True):
        for a, b in zip(there[:3], here[:3], strict=True):
            np.testing.assert_array_equal(a, b)
    assert (batches(records, 0, 1, seed=4)[0][0] != whole[0][0]).any()
    assert all(wait >= 0 for *_, wait in whole)


@pytest.mark.parametrize("sides", [("train",), ("train", "val")])
def test_every_epoch_holds_every_picture_once_in_another_order(records, sides):
    manifest = read_manifest(records)
    count = sum(manifest["sides"][side]["records"] for side in sides)
    seen = batches(records, 0, 2 * count // 8 + 1, sides=sides)
    names = np.concatenate([batch[0] for batch in seen])
    first, second = names[:count], names[count : 2 * count]
    assert len(set(first)) == len(set(second)) == count
    assert (first != second).any()
    known = {r.name.encode() for side in sides for r in read_records(records, manifest, side)}
    assert set(first) == known


def test_preview_draws_a_sheet(records, tmp_path):
    out = tmp_path / "preview.png"
    flags = ["--records", records, "--out", out, "--faces", 2, "--versions", 3]
    result = run_module("-m", "senet_kp.input.preview", *flags, "--augment.rotation-deg", "30")
    assert result.returncode == 0 and str(out) in result.stdout, result.stderr
    sheet = read_picture(out)
    assert sheet.shape == (2 * 260 + 4, 4 * 260 + 4, 3)
    faces = [sheet[4:260, 4 + 260 * column : 260 + 260 * column] for column in range(4)]
    assert all((face == (60, 220, 90)).all(2).sum() > 50 for face in faces)  # points are drawn
    assert np.abs(faces[1].astype(int) - faces[2]).mean() > 5
    assert read_picture(tmp_path / "preview-landmarks.png").shape == (800, 1360, 3)


def test_preview_shows_the_recipe_of_the_network(records, tmp_path):
    """The recipe of inception has neither noise nor patches; a flag still adds to it."""
    for net, flags in (("senet", ()), ("inception", ()), ("inception", ("--augment.noise", "1"))):
        out = tmp_path / f"{net}{len(flags)}.png"
        run = ["--records", records, "--out", out, "--faces", 1, "--net", net, *flags]
        result = run_module("-m", "senet_kp.input.preview", *run)
        assert result.returncode == 0, result.stderr
    plain, noisy = (read_picture(tmp_path / f"inception{n}.png") for n in (0, 2))
    assert (plain != read_picture(tmp_path / "senet0.png")).any()
    assert (plain != noisy).mean() > 0.3


def test_distributions_leave_out_what_no_face_has(tmp_path):
    landmarks = np.random.default_rng(0).uniform(0, 1, (30, 15, 2))
    landmarks[:, 3], landmarks[:20, 4] = np.nan, np.nan
    write_distributions(tmp_path / "a.png", landmarks, KAGGLE15)
    assert read_picture(tmp_path / "a.png").std() > 10


def test_a_picture_is_decoded_once_while_the_cache_has_room(records, monkeypatch):
    """The samples are the same with and without the cache."""
    decoded, decode = [], augment_module.stored_picture
    monkeypatch.setattr(
        augment_module, "stored_picture", lambda *of: decoded.append(of[1]) or decode(*of)
    )
    manifest = read_manifest(records)
    faces = list(read_records(records, manifest, "train", 3))
    room = 3 * 2 * manifest["stored_px"] ** 2 / (1 << 20)  # for two of the three
    samples = []
    for megabytes in (room, 0):
        monkeypatch.setattr(augment_module, "DECODED_MB", megabytes)
        augmenter = Augmenter(manifest, 0, AugmentConfig())
        samples.append(
            [
                augmenter.sample(r.picture, r.landmarks, r.mask, r.name.encode(), epoch)
                for epoch in range(3)
                for r in faces
            ]
        )
    names = [record.name for record in faces]
    assert decoded == names + 2 * names[2:] + 3 * names
    for kept, anew in zip(*samples, strict=True):
        for a, b in zip(kept, anew, strict=True):
            np.testing.assert_array_equal(a, b)
