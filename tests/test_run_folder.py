"""Damaged files of a run folder are named; a damaged list of checkpoints costs nothing."""

import json

import numpy as np
import pytest

from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import InputError, ModelError
from senet_kp.train.checkpoints import read_settings
from senet_kp.train.run_folder import RunFolder

SETTINGS = {"net": "senet", "schedule": "constant", "average_decay": 0.9}


@pytest.mark.parametrize("content", ["", "{", "[1]", "[" * 100_000, b"\xff{}", '{"net": 3}'])
def test_damaged_settings_are_named(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ModelError, match="config.json is missing or damaged"):
        read_settings(tmp_path)
    if content != '{"net": 3}':  # other settings, but settings
        (tmp_path / "latest").mkdir()
        (tmp_path / "latest" / "ckpt-4.index").touch()
        with pytest.raises(ModelError, match="config.json: damaged"):
            RunFolder(tmp_path).open(SETTINGS)


@pytest.mark.parametrize("content", ["3", '{"step": 3}', '{"step": "3", "val_nme": 0.1}', "NaN"])
def test_a_damaged_best_score_is_named(tmp_path, content):
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "best.json").write_text(content)
    with pytest.raises(ModelError, match="best.json: damaged"):
        assert RunFolder(tmp_path).best


@pytest.mark.parametrize(
    "content",
    [
        "step,minutes\n4,x\n",
        "step\n4\n",
        "step,minutes\n4\n",
        "step,minutes\n4,1,1\n",
        "step,minutes\n4,nan\n",
        "step,minutes\nstep,minutes\n",
        "step,minutes\n4," + "1" * 200_000,
    ],
)
def test_damaged_metrics_are_named(tmp_path, content):
    (tmp_path / "metrics.csv").write_text(content)
    for read in (lambda run: run.minutes, lambda run: run.discard_after(9)):
        with pytest.raises(InputError, match="metrics.csv"):
            read(RunFolder(tmp_path))


@pytest.mark.parametrize(
    "content", [None, b"", b"\xff\xfe", b"model_checkpoint_path: 3", b"\0" * 90]
)
def test_a_damaged_list_of_checkpoints_does_not_start_the_training_again(tmp_path, content):
    with tf.Graph().as_default(), tf.Session() as session:
        value = tf.get_variable("value", initializer=np.float32(0))
        folder = RunFolder(tmp_path)
        folder.make_savers()
        assert (folder.step, folder.latest) == (0, None)
        for step in (8, 9, 12):
            session.run(value.assign(step))
            folder.save_latest(session, step)
        state = tmp_path / "latest" / "checkpoint"
        state.unlink() if content is None else state.write_bytes(content)
        again = RunFolder(tmp_path)
        again.make_savers()
        assert again.step == 12
        session.run(value.assign(0))
        again.restore(session)
        assert session.run(value) == 12


def test_settings_of_earlier_trainings_have_the_same_form(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(SETTINGS | {"before": {"before": [3]}}))
    with pytest.raises(ModelError, match="before.before is no object"):
        read_settings(tmp_path)
