"""The only module that relies on the internals of tf.train.SyncReplicasOptimizer.

The optimiser's public way to be run is a session hook that can neither let a restarted replica
rejoin a step nor close the token queue. This project therefore runs the optimiser's ops itself.
`synchronised_ops` finds them and checks that they are what the rest of this package expects.

How a step works: every replica pushes its gradients to accumulators on the parameter servers and
then blocks on a queue. The chief's update op takes the mean of the gradients of all replicas from
the accumulators, applies it, and puts one token per replica into the queue. A token is the number
of steps done, and a replica that has received one starts the next step. Each replica has a local
step, with which it labels its gradients; accumulators drop gradients of earlier steps.
"""

from dataclasses import dataclass

from senet_kp.nets.tf1 import tf
from senet_kp.tfrecords.errors import CheckError

TOKEN_QUEUE = "sync_token_q"  # shared name of the optimiser's queue


@dataclass(frozen=True)
class SynchronisedOps:
    """The ops of a SyncReplicasOptimizer, for the sessions of the replicas."""

    train: object  # int64: pushes the gradients, waits for a token, stores it in the local step
    pushed: tuple  # the ops that push the gradients of this replica
    next_token: object  # int64: waits for a token without pushing gradients
    update: object  # the chief's: waits for all gradients, applies them, enqueues the tokens
    read_step: object  # int64: copies the global step to the local step and returns it
    initialise: object  # the chief's: sets the step of the accumulators and the local step


def synchronised_ops(optimiser, gradients: list, step, replicas: int) -> SynchronisedOps:
    """The ops of a step in which `optimiser` applies the mean gradients of all replicas.

    gradients: (gradient, variable) pairs; step: the global step.
    Raises CheckError if TensorFlow's class is not built as expected.
    """
    sync = tf.train.SyncReplicasOptimizer(optimiser, replicas)
    train = sync.apply_gradients(gradients, step)
    try:
        sync.ready_for_local_init_op.mark_used()  # otherwise TensorFlow warns that it is not used
        runner = sync.get_chief_queue_runner()
        with tf.device(step.device):
            next_token = runner.queue.dequeue()
        ops = SynchronisedOps(
            train=train,
            pushed=tuple(train.op.inputs[1].op.control_inputs),
            next_token=next_token,
            update=runner.enqueue_ops[0],
            read_step=sync.local_step_init_op,
            initialise=sync.chief_init_op,
        )
        _check(ops, runner, len(gradients))
    except (AttributeError, IndexError, TypeError) as error:
        raise _unexpected(str(error)) from None
    return ops


def _check(ops: SynchronisedOps, runner, gradients: int):
    """Raise CheckError if an op is not of the expected kind."""
    train, read_step, queue = ops.train.op, ops.read_step.op, runner.queue.queue_ref.op
    _require(train.type == "Assign", "apply_gradients does not return an assignment")
    token = train.inputs[1].op
    _require(token.type.startswith("QueueDequeue"), "the assigned value is not a queue's token")
    _require(token.inputs[0].op.name == queue.name, "the token is not from the chief's queue")
    _require(
        queue.get_attr("shared_name") == TOKEN_QUEUE.encode(),
        f"the chief's queue is not named {TOKEN_QUEUE}",
    )
    _require(
        len(ops.pushed) == gradients
        and all(op.type.endswith("AccumulatorApplyGradient") for op in ops.pushed),
        "the token does not wait for the gradient of every variable",
    )
    _require(
        len(runner.enqueue_ops) == 1 and ops.update.type.startswith("QueueEnqueueMany"),
        "the chief's queue runner does not have a single op that enqueues tokens",
    )
    _require(
        read_step.type == "Assign" and read_step.inputs[0].op.name == train.inputs[0].op.name,
        "local_step_init_op does not assign the local step",
    )


def close_token_queue():
    """An op that closes the token queue of the current container and cancels all that wait on it.

    Sessions that wait for a token then raise OutOfRangeError.
    """
    queue = tf.FIFOQueue(-1, tf.int64, shapes=(), shared_name=TOKEN_QUEUE)
    return queue.close(cancel_pending_enqueues=True)


def _require(holds: bool, wrong: str):
    if not holds:
        raise _unexpected(wrong)


def _unexpected(wrong: str) -> CheckError:
    return CheckError(
        f"tf.train.SyncReplicasOptimizer of TensorFlow {tf.__version__} works differently than"
        f" senet_kp.cluster.sync_replicas expects: {wrong}; install the TensorFlow version that"
        " this project requires, or train on one machine with 'senet-kp train'"
    )
