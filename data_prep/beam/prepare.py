"""python -m data_prep.beam_prepare --data 300W_LP --out out/tfrecords -- --runner=DirectRunner

Preparation by Apache Beam, on one machine or many: takes the flags of data_prep.prepare and writes
the same bytes. What stands behind a lone -- are Beam's own flags, such as
  --direct_num_workers=2 --direct_running_mode=multi_processing
  --runner=FlinkRunner --flink_master=HOST:8081
  --runner=SparkRunner --spark_master_url=spark://HOST:7077
  --runner=PortableRunner --job_endpoint=HOST:8099 --environment_type=LOOPBACK
  --runner=DataflowRunner --project=P --region=R --temp_location=gs://B/tmp
  --extra_package=dist/senet_kp.whl --sdk_container_image=IMAGE

Workers and launcher read the pictures under the paths of --data; --out may be on any of Beam's
file systems. Exit codes: those of data_prep.prepare.
"""

import contextlib
import io
import logging
import sys
from dataclasses import dataclass, replace
from os import cpu_count
from pathlib import Path

import tyro

from senet_kp.data_prep.config import PrepareConfig
from senet_kp.data_prep.prepare import (
    Plan,
    finished,
    made_by,
    plan_of,
    report,
    worker_pool,
    write_account,
)
from senet_kp.tfrecords.errors import CheckError, OutputError, UserError, exit_code_of

# Their job servers, not Python, know all of their flags.
RUNNERS_WITH_FLAGS_OF_THEIR_OWN = ("flink", "spark", "portable", "kafkastreams")
# Beam's DirectRunner would first fetch a program from the web, Prism, and does without it where
# that fails: by this one.
DIRECT = "FnApiRunner"


@dataclass(frozen=True)
class BeamConfig(PrepareConfig):
    out: str = "out/tfrecords"
    """folder for the records, which all workers can write to: a path, gs://, s3://, hdfs://"""
    processes: int = cpu_count() or 1
    """processes that measure the detector, here"""

    def local(self) -> PrepareConfig:
        """The config as preparation on one machine has it; names are made from `out`'s last."""
        out = Path(self.out.rpartition("/")[2] if "://" in self.out else self.out)
        return PrepareConfig(**vars(self) | {"out": out})


def beam_prepare(config: BeamConfig, flags: list[str]) -> dict:
    """Write the record folder by a Beam pipeline, or find it done; return its manifest.

    flags: Beam's. Raises UserError, InputError, CheckError and OutputError.
    """
    with _importing_beam():
        from senet_kp.data_prep.beam.files import record_folder
    config = replace(config, out=config.out.rstrip("/"))
    pipeline, plan = _pipeline(flags), plan_of(config.local())
    if done := _finished(config.out, plan):
        return done
    with record_folder(config.out) as (folder, place), worker_pool(config.processes) as pool:
        results, writers = _run(pipeline, plan, place)
        manifest = write_account(folder, plan, results, writers, pool)
    report(config.out, manifest)
    return manifest


def _finished(out: str, plan: Plan) -> dict | None:
    """The manifest in `out`, if it is as this plan would make it."""
    from senet_kp.data_prep.beam.files import is_remote, remote_manifest

    if not is_remote(out):
        return finished(Path(out), plan)
    manifest = remote_manifest(out)  # written last: what it names is there
    return manifest if manifest and made_by(plan, manifest, out) else None


def _run(pipeline, plan: Plan, place):
    """Run the pipeline to its end; return every face's result, in order, and the shards."""
    from senet_kp.data_prep.beam.pipeline import build, keep_listings, written

    listings, sharding = keep_listings(plan, place)
    build(pipeline, listings, plan.rule, sharding, place)
    try:
        state = pipeline.run().wait_until_finish()
    except RuntimeError as error:  # with the worker's traceback; its last line says what it was
        why = str(error).strip().splitlines()[-1]
        raise OutputError(f"the Beam job failed in a worker: {why}") from None
    if state != "DONE":
        raise CheckError(f"the Beam job ended as {state}; its runner's log says why")
    return written(sharding, place)


def _pipeline(flags: list[str]):
    """An empty pipeline with Beam's flags; raises UserError for what Beam does not know."""
    with _importing_beam():
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    if stray := _stray(flags):
        raise UserError(
            f"{stray}: Beam's flags begin with --, their value follows or stands behind ="
        )
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # argparse's usage has hundreds of lines
            options = PipelineOptions(flags)
            given = options.get_all_options(retain_unknown_options=True)
            known = PipelineOptions([]).get_all_options()
    except SystemExit:
        raise UserError(f"Beam's flags: {said.getvalue().strip().splitlines()[-1]}") from None
    standard = options.view_as(StandardOptions)
    runner = (standard.runner or "DirectRunner").lower().removesuffix("runner")
    unknown = sorted(given.keys() - known.keys())
    if unknown and runner not in RUNNERS_WITH_FLAGS_OF_THEIR_OWN:
        raise UserError(f"--{unknown[0]}: Beam has no such flag; ours stand before the lone --")
    if runner == "direct":
        standard.runner = DIRECT
    try:
        return beam.Pipeline(options=options)
    except (ValueError, ImportError) as error:
        raise UserError(f"Beam: {error}") from None


def _stray(flags: list[str]) -> str | None:
    """The first word that is neither a flag nor the value of the flag before it."""
    for before, word in zip(["", *flags], flags, strict=False):
        if not word.startswith("-") and (not before.startswith("--") or "=" in before):
            return word
    return None


@contextlib.contextmanager
def _importing_beam():
    logging.disable(logging.WARNING)  # of Google's packages, which only some of its sources need
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"Apache Beam cannot be imported ({error}); install it: pip install .[cluster]"
        ) from None
    finally:
        logging.disable(logging.NOTSET)


def main():
    words = sys.argv[1:]
    ours = words.index("--") if "--" in words else len(words)
    prog = "python -m data_prep.beam_prepare"
    config = tyro.cli(BeamConfig, prog=prog, description=__doc__, args=words[:ours])
    beam_prepare(config, words[ours + 1 :])


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
