"""senet-kp beam-prepare --data 300W_LP --out out/tfrecords -- --runner=DirectRunner

Prepare records with Apache Beam, on one machine or many. The command takes the flags of `senet-kp
prepare` and writes the same bytes. Flags after a separate -- are passed to Beam, for example
  --direct_num_workers=2 --direct_running_mode=multi_processing
  --runner=FlinkRunner --flink_master=HOST:8081
  --runner=SparkRunner --spark_master_url=spark://HOST:7077
  --runner=PortableRunner --job_endpoint=HOST:8099 --environment_type=LOOPBACK
  --runner=DataflowRunner --project=P --region=R --temp_location=gs://B/tmp
  --extra_package=dist/senet_kp.whl --sdk_container_image=IMAGE

Launcher and workers all read the pictures at the paths given by --data. --out may be on any file
system that Beam supports. The exit codes are those of `senet-kp prepare`.
"""

import contextlib
import io
import logging
import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.prepare import (
    Plan,
    check_detector,
    finished,
    made_by,
    plan_of,
    report,
    write_account,
)
from senet_kp.data_prep.recognise import defaults_of_command_line
from senet_kp.tfrecords.errors import CheckError, OutputError, UserError, exit_code_of
from senet_kp.tfrecords.workers import worker_pool

# These runners pass flags on to a job server, so that Python cannot check them.
RUNNERS_WITH_FLAGS_OF_THEIR_OWN = ("flink", "spark", "portable", "kafkastreams")
# Beam's DirectRunner first tries to download the program Prism, and uses this runner if it cannot.
DIRECT = "FnApiRunner"


@dataclass(frozen=True)
class BeamConfig(PrepareConfig):
    out: str = "out/tfrecords"
    """folder for the records, writable by all workers: a path, gs://, s3:// or hdfs://"""
    processes: int = os.cpu_count() or 1
    """local processes that measure the face detector"""

    def local(self) -> PrepareConfig:
        """Return the config of `senet-kp prepare`; a remote `out` becomes its last component."""
        out = Path(self.out.rpartition("/")[2] if "://" in self.out else self.out)
        return PrepareConfig(**vars(self) | {"out": out})


def beam_prepare(config: BeamConfig, flags: list[str]) -> dict:
    """Write the record folder with a Beam pipeline, unless it exists; return its manifest.

    flags: flags for Beam. Raises UserError, InputError, CheckError and OutputError.
    """
    with _importing_beam():
        from senet_kp.data_prep.beam.files import record_folder
    if config.shards:
        raise UserError("--shards 1: several machines write several shards; leave it out")
    config = replace(config, out=config.out.rstrip("/"))
    pipeline, plan = _pipeline(flags), plan_of(config.local())
    if done := _finished(config.out, plan):
        return done
    check_detector(plan.config)
    with record_folder(config.out) as (folder, output), worker_pool(config.processes) as pool:
        results, writers = _run(pipeline, plan, output)
        manifest = write_account(folder, plan, results, writers, pool)
    report(config.out, manifest)
    return manifest


def _finished(out: str, plan: Plan) -> dict | None:
    """Return the manifest in `out` if the records there match this plan, else None."""
    from senet_kp.data_prep.beam.files import is_remote, remote_manifest

    if not is_remote(out):
        return finished(Path(out), plan)
    manifest = remote_manifest(out)  # it is written last, so all shards that it names exist
    return manifest if manifest and made_by(plan, manifest, out) else None


def _run(pipeline, plan: Plan, output):
    """Run the pipeline to its end; return the result of every face, in order, and the shards."""
    from apache_beam.options.pipeline_options import StandardOptions

    from senet_kp.data_prep.beam.pipeline import build, keep_listings, written

    listings, sharding = keep_listings(plan, output)
    build(pipeline, listings, plan.rule, sharding, output)
    local = pipeline.options.view_as(StandardOptions).runner == DIRECT
    # The local runner logs the traceback of an error that it also raises.
    logging.disable(logging.CRITICAL if local else logging.NOTSET)
    try:
        with _interrupts_end(output):
            state = pipeline.run().wait_until_finish()
    except RuntimeError as error:  # its message ends with the worker's exception
        why = str(error).strip().splitlines()[-1]
        raise OutputError(f"the Beam job failed in a worker: {why}") from None
    finally:
        logging.disable(logging.NOTSET)
    if state != "DONE":
        raise CheckError(f"the Beam job ended in state {state}; see the log of its runner")
    return written(sharding, output)


@contextlib.contextmanager
def _interrupts_end(output):
    """Within the block, Ctrl-C and SIGTERM remove what was written and end the process at once.

    The local runner's workers are threads of this process. They would catch a KeyboardInterrupt,
    print its traceback and report it as a failure of the job.
    """

    def interrupted():
        raise KeyboardInterrupt

    def end(*_):
        output.clear()
        os._exit(exit_code_of(interrupted))

    old = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _pipeline(flags: list[str]):
    """Return an empty pipeline with Beam's flags; raises UserError for an unknown flag."""
    with _importing_beam():
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    if stray := _stray(flags):
        raise UserError(f"{stray}: Beam's flags begin with --, as in --flag=value or --flag value")
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # Beam's usage message has hundreds of lines
            options = PipelineOptions(flags)
            given = options.get_all_options(retain_unknown_options=True)
            known = PipelineOptions([]).get_all_options()
    except SystemExit:
        raise UserError(f"Beam's flags: {said.getvalue().strip().splitlines()[-1]}") from None
    standard = options.view_as(StandardOptions)
    runner = (standard.runner or "DirectRunner").lower().removesuffix("runner")
    unknown = sorted(given.keys() - known.keys())
    if unknown and runner not in RUNNERS_WITH_FLAGS_OF_THEIR_OWN:
        raise UserError(
            f"--{unknown[0]}: Beam has no such flag; give flags of this command before the --"
        )
    if runner == "direct":
        standard.runner = DIRECT
    try:
        return beam.Pipeline(options=options)
    except (ValueError, ImportError) as error:
        raise UserError(f"Beam: {error}") from None


def _stray(flags: list[str]) -> str | None:
    """Return the first word that is neither a flag nor the value of the flag before it."""
    for before, word in zip(["", *flags], flags, strict=False):
        if not word.startswith("-") and (not before.startswith("--") or "=" in before):
            return word
    return None


@contextlib.contextmanager
def _importing_beam():
    logging.disable(logging.WARNING)  # Beam warns about optional Google packages
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"Apache Beam cannot be imported ({error}); install it: pip install 'senet_kp[cluster]'"
        ) from None
    finally:
        logging.disable(logging.NOTSET)


def main():
    words = sys.argv[1:]
    ours = words.index("--") if "--" in words else len(words)
    prog = "senet-kp beam-prepare"
    defaults = defaults_of_command_line(BeamConfig)
    config = tyro.cli(
        BeamConfig, prog=prog, description=__doc__, args=words[:ours], default=defaults
    )
    beam_prepare(config, words[ours + 1 :])


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
