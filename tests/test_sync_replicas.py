"""The assumptions about tf.train.SyncReplicasOptimizer, on the installed TensorFlow and beyond."""

import contextlib

import pytest

from senet_kp.cluster.sync_replicas import close_token_queue, synchronised_ops
from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import CheckError

Optimiser = tf.train.SyncReplicasOptimizer


@contextlib.contextmanager
def ops_of_two_variables(replicas=1):
    """The ops of a gradient step that subtracts 1 from `a` and 2 from `b`, and the variables."""
    with tf.Graph().as_default():
        a, b = tf.get_variable("a", initializer=0.0), tf.get_variable("b", initializer=0.0)
        step = tf.train.get_or_create_global_step()
        gradients = [(tf.constant(1.0), a), (tf.constant(2.0), b)]
        yield (
            synchronised_ops(tf.train.GradientDescentOptimizer(1.0), gradients, step, replicas),
            a,
            b,
        )


def test_the_ops_do_a_step_and_hand_out_tokens():
    with ops_of_two_variables() as (ops, a, b), tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(ops.initialise)
        assert session.run(ops.read_step) == 0
        for step in (1, 2):
            session.run(ops.pushed)
            session.run(ops.update)
            assert session.run(ops.next_token) == step and session.run(ops.read_step) == step
            assert session.run([a, b]) == [-step, -2 * step]


def test_closing_the_queue_ends_the_wait_for_a_token():
    with ops_of_two_variables() as (ops, _, _), tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(ops.initialise)
        session.run(close_token_queue())
        with pytest.raises(tf.errors.OutOfRangeError):
            session.run(ops.next_token)


class WithoutRunner(Optimiser):
    get_chief_queue_runner = None


class ReturnsNoAssignment(Optimiser):
    def apply_gradients(self, *arguments, **options):
        train = super().apply_gradients(*arguments, **options)
        return tf.add(0, tf.cast(train.op.inputs[1], tf.int32))


class ForgetsOneGradient(Optimiser):
    def apply_gradients(self, gradients, *arguments, **options):
        return super().apply_gradients(gradients[1:], *arguments, **options)


class TwoUpdates(Optimiser):
    def get_chief_queue_runner(self):
        runner = super().get_chief_queue_runner()
        return tf.train.QueueRunner(runner.queue, 2 * list(runner.enqueue_ops))


class OtherQueue(Optimiser):
    def get_chief_queue_runner(self):
        other = tf.FIFOQueue(-1, tf.int64, shapes=(), shared_name="other")
        return tf.train.QueueRunner(other, super().get_chief_queue_runner().enqueue_ops)


class InitialisesNothing(Optimiser):
    def apply_gradients(self, *arguments, **options):
        train = super().apply_gradients(*arguments, **options)
        self.local_step_init_op = tf.identity(self.local_step_init_op)
        return train


@pytest.mark.parametrize(
    "optimiser, wrong",
    [
        (WithoutRunner, "not callable"),
        (ReturnsNoAssignment, "does not return an assignment"),
        (ForgetsOneGradient, "does not wait for the gradient of every variable"),
        (TwoUpdates, "does not have a single op that enqueues tokens"),
        (OtherQueue, "not from the chief's queue"),
        (InitialisesNothing, "local_step_init_op does not assign the local step"),
    ],
)
def test_an_optimiser_that_works_differently_is_refused(optimiser, wrong, monkeypatch):
    monkeypatch.setattr(tf.train, "SyncReplicasOptimizer", optimiser)
    with pytest.raises(CheckError, match=wrong) as caught, ops_of_two_variables():
        pass
    assert "install the TensorFlow version" in str(caught.value)
    assert "'senet-kp train'" in str(caught.value)


def test_a_renamed_token_queue_is_refused(monkeypatch):
    monkeypatch.setattr("senet_kp.cluster.sync_replicas.TOKEN_QUEUE", "renamed")
    with (
        pytest.raises(CheckError, match="the chief's queue is not named renamed"),
        ops_of_two_variables(),
    ):
        pass
