"""Learning-rate schedules, optimisers, weight averages, recipes and the choices of the flags."""

import dataclasses
import math
import sys
from typing import get_args

import numpy as np
import pytest
import tyro

from senet_kp.face.known_schemes import IBUG68
from senet_kp.input.augment import AugmentConfig
from senet_kp.nets import NETWORKS, NetName
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import UserError
from senet_kp.train.config import (
    TrainConfig,
    check,
    point_weights,
    recipe,
    recipe_of_command_line,
    trains_trunk,
)
from senet_kp.train.graph import weight_average
from senet_kp.train.losses import LOSSES, LossName
from senet_kp.train.schedules import (
    OPTIMISERS,
    SCHEDULES,
    OptimiserName,
    ScheduleName,
    build_optimiser,
    build_schedule,
)


def config(**options):
    return TrainConfig(**{"learning_rate": 0.1, "warmup_steps": 0, "steps": 100, **options})


def rates(config, steps):
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, ())
        rate = build_schedule(config, step).learning_rate
        return [float(session.run(rate, {step: number})) for number in steps]


def test_cosine_falls_from_the_rate_to_zero():
    seen = rates(config(schedule="cosine"), [0, 25, 50, 100])
    expected = [0.1, 0.05 * (1 + math.sqrt(0.5)), 0.05, 0.0]
    np.testing.assert_allclose(seen, expected, atol=1e-7)


def test_exponential_decay_is_continuous():
    options = {"schedule": "exponential", "decay_rate": 0.5, "decay_steps": 10}
    np.testing.assert_allclose(
        rates(config(**options), [0, 5, 10, 20]),
        [0.1, 0.1 * math.sqrt(0.5), 0.05, 0.025],
        rtol=1e-5,
    )


def test_exponential_decay_fits_the_steps_unless_its_own_are_given():
    """At half of the steps the rate is the root of 2 % of its start."""
    seen = rates(config(schedule="exponential"), [0, 50, 100])
    np.testing.assert_allclose(seen, [0.1, 0.1 * math.sqrt(0.02), 0.002], rtol=1e-5)


def test_constant_stays():
    values = rates(config(schedule="constant", learning_rate=0.003, warmup_steps=0), [0, 7, 10**6])
    assert values == pytest.approx([0.003] * 3)


def test_warm_up_rises_linearly_to_the_schedule():
    seen = rates(config(warmup_steps=10), [0, 4, 9, 50])
    whole = rates(config(), [0, 4, 9, 50])
    np.testing.assert_allclose(seen, np.array(whole) * [0.1, 0.5, 1, 1], rtol=1e-5)


def test_plateau_waits_lowers_and_stops_at_the_floor():
    """Patience 2: after two validations without improvement the rate halves, down to 0.03."""
    options = {
        "schedule": "plateau",
        "plateau_factor": 0.5,
        "plateau_patience": 2,
        "plateau_floor": 0.03,
    }
    nmes = [0.5, 0.4, 0.4, 0.45, 0.3, 0.31, 0.32, 0.33, 0.34]
    expected = [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.03, 0.03, 0.03]
    with tf.Graph().as_default(), tf.Session() as session:
        built = build_schedule(config(**options), tf.constant(0, tf.int64))
        session.run(tf.global_variables_initializer())
        seen = []
        for value in nmes:
            session.run(built.after_validation, {built.val_nme_in: value})
            seen.append(float(session.run(built.learning_rate)))
    np.testing.assert_allclose(seen, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("sgd", [-0.2, -0.4]),  # the rate is 0.1, the gradient 2
        ("momentum", [-0.2, -0.2 - 0.38]),  # v = 2, then 0.9 x 2 + 2; the rate is 0.1
        ("adam", [-0.1, -0.2]),  # a constant gradient moves Adam by the rate
    ],
)
def test_optimisers_take_their_steps(name, steps):
    with tf.Graph().as_default(), tf.Session() as session:
        weight = tf.get_variable("weight", initializer=0.0)
        train = build_optimiser(config(optimiser=name), 0.1).minimize(2 * weight)
        session.run(tf.global_variables_initializer())
        seen = []
        for _ in steps:
            session.run(train)
            seen.append(float(session.run(weight)))
    np.testing.assert_allclose(seen, steps, rtol=1e-4)


def test_weight_average_by_hand():
    """New averages move quickly: after k updates the decay is at most (1 + k) / (10 + k)."""
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.get_variable("step", initializer=0)
        weight = tf.get_variable("weight", initializer=1.0)
        average = weight_average(0.5, step)
        update = average.apply([weight])
        session.run(tf.global_variables_initializer())
        session.run(weight.assign(2.0))
        session.run(update)
        assert float(session.run(average.average(weight))) == pytest.approx(0.1 * 1 + 0.9 * 2)
        session.run([weight.assign(4.0), step.assign(1000)])
        session.run(update)
        assert float(session.run(average.average(weight))) == pytest.approx(0.5 * 1.9 + 0.5 * 4)
    assert weight_average(0.0) is None


@pytest.mark.parametrize(
    "choices, table",
    [
        (LossName, LOSSES),
        (ScheduleName, SCHEDULES),
        (OptimiserName, OPTIMISERS),
        (NetName, NETWORKS),
    ],
)
def test_every_choice_is_implemented(choices, table):
    assert get_args(choices) == tuple(table)


@pytest.mark.parametrize(
    "flag, choices",
    [
        ("--net", "senet,inception,plain_cnn,se_inception,senet_classic,vgg16"),
        ("--loss", "mse,l1,smooth_l1,wing"),
        ("--schedule", "cosine,exponential,plateau,constant"),
        ("--optimiser", "adam,momentum,sgd"),
        ("--missing", "mask,drop,mean"),
    ],
)
def test_the_command_line_lists_choices_and_refuses_others(flag, choices, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "500")  # one line per flag and message
    with pytest.raises(SystemExit) as stopped:
        tyro.cli(TrainConfig, args=["--help"])
    assert stopped.value.code == 0
    assert f"{flag} {{{choices}}}" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        tyro.cli(TrainConfig, args=[flag, "guess"])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert flag in message
    assert all(f"'{choice}'" in message for choice in choices.split(","))


def test_the_recipe_of_senet_classic():
    classic = recipe("senet_classic")
    assert (classic.loss, classic.schedule, classic.optimiser) == ("mse", "exponential", "adam")
    assert (classic.learning_rate, classic.decay_rate, classic.decay_steps) == (1e-3, 0.98, 1000)
    assert (classic.warmup_steps, classic.average_decay, classic.steps) == (0, 0, 150_000)
    assert recipe("senet") == TrainConfig()


@pytest.mark.parametrize("net", NETWORKS)
def test_every_value_of_a_recipe_is_a_setting_that_differs_from_its_default(net):
    settings, usual = NETWORKS[net].recipe, vars(TrainConfig())
    assert settings.keys() <= usual.keys() - {"net", "records", "run"}
    for key, value in settings.items():
        if key == "augment":
            assert value.keys() <= vars(AugmentConfig()).keys()
        else:
            assert type(value) is type(usual[key]) and value != usual[key]
    assert recipe(net).net == net


def test_the_command_line_starts_from_the_recipe_of_its_network(monkeypatch):
    for net in NETWORKS:
        monkeypatch.setattr(sys, "argv", ["train", "--steps", "3", "--net", net])
        assert recipe_of_command_line() == recipe(net)


def test_the_recipe_of_inception():
    net = recipe("inception")
    assert (net.optimiser, net.learning_rate, net.loss) == ("adam", 3e-3, "mse")
    assert (net.schedule, net.plateau_factor, net.plateau_patience, net.plateau_floor) == (
        "plateau",
        0.8,
        25,
        1e-5,
    )
    off = dict.fromkeys(
        (
            "stretch",
            "box_jitter",
            "brightness",
            "gamma",
            "colour",
            "grey",
            "noise",
            "jpeg",
            "patches",
        ),
        0.0,
    )
    expected = {"flip": 0.5, "rotation_deg": 15.0, "scale": 0.2, "contrast": 0.2, "blur": 0.8}
    assert net.augment.rotation == "uniform"
    shares = {key: value for key, value in vars(net.augment).items() if key in expected | off}
    assert shares == expected | off


def test_the_recipes_of_vgg16_and_plain_cnn():
    vgg, plain = recipe("vgg16"), recipe("plain_cnn")
    assert (vgg.loss, vgg.optimiser, vgg.dropout_keep) == ("l1", "adam", 0.5)
    assert (vgg.learning_rate, vgg.schedule, vgg.warmup_steps) == (1e-3, "constant", 0)
    assert vgg.weight_decay == vgg.average_decay == 0
    assert (plain.loss, plain.optimiser, plain.schedule) == ("mse", "adam", "cosine")
    assert trains_trunk(vgg)
    assert not trains_trunk(dataclasses.replace(vgg, init_from="vgg_16.ckpt"))
    assert trains_trunk(dataclasses.replace(vgg, init_from="vgg_16.ckpt", train_trunk=True))


def test_region_weights_become_point_weights():
    weights = point_weights(config(region_weights={"jaw": 0.5, "eyes": 2}), IBUG68)
    assert weights[:17] == [0.5] * 17 and weights[36:48] == [2.0] * 12
    assert weights[17:36] == [1.0] * 19 and len(weights) == 68


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"region_weights": {"ears": 1.0}}, "ibug68 has no region ears; its regions are jaw"),
        ({"average_decay": 1.0}, "--average-decay"),
        ({"decay_steps": -1}, "--decay-steps must be at least 0"),
        ({"schedule": "plateau", "train_on_val": True}, "plateau needs the val NME"),
    ],
)
def test_senseless_settings_are_refused(options, word):
    check(TrainConfig(), IBUG68)
    with pytest.raises(UserError, match=word):
        check(dataclasses.replace(TrainConfig(), **options), IBUG68)
