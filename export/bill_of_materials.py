"""python -m senet_kp.export.bill_of_materials dist/senet_kp-0.1.0-py3-none-any.whl

Writes the bill of materials of a wheel beside it, as CycloneDX 1.6 JSON (dist/*.cdx.json): the
wheel, the packages that it requires, in the versions of requirements/base.txt, and the frozen
graphs inside it, with SHA-256 sums. `make wheel` runs it in a checkout. The file depends only on
the wheel and on the environment variable SOURCE_DATE_EPOCH, its date in seconds since 1970.
"""

import hashlib
import json
import os
import sys
import uuid
from datetime import datetime, timezone
from pathlib import Path
from zipfile import ZipFile

from cyclonedx.model import AttachedText, HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement

from senet_kp.inference.pretrained import SHIPPED
from senet_kp.tfrecords.errors import InputError, exit_code_of
from senet_kp.tfrecords.files import write_bytes

LOCK = Path("requirements/base.txt")
FOLDER = "senet_kp/export/pretrained"


def bill_of_materials(wheel: Path, lock: Path = LOCK) -> Bom:
    """The CycloneDX document of a wheel, with the pinned versions in the requirements file `lock`.

    Raises InputError for a wheel that does not hold the frozen graphs.
    """
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    name, version = wheel.name.split("-")[:2]
    product = Component(
        type=ComponentType.APPLICATION,
        name=name,
        version=version,
        bom_ref=f"{name}=={version}",
        licenses=[DisjunctiveLicense(id="MIT")],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )
    graphs = [graph_component(wheel, f"{FOLDER}/{path.name}", version) for path in SHIPPED.values()]
    parts = [*graphs, *map(package_component, pinned_packages(lock))]
    bom = Bom(components=parts, serial_number=uuid.uuid5(uuid.NAMESPACE_OID, digest))
    bom.metadata.component = product
    bom.metadata.timestamp = datetime.fromtimestamp(
        int(os.environ.get("SOURCE_DATE_EPOCH", wheel.stat().st_mtime)), timezone.utc
    )
    bom.register_dependency(product, parts)
    return bom


def graph_component(wheel: Path, name: str, version: str) -> Component:
    """A frozen graph inside a wheel, with its SHA-256 and the terms in its model card."""
    try:
        with ZipFile(wheel) as archive:
            graph = archive.read(name)
            card = json.loads(archive.read(name.removesuffix(".pb") + ".json"))
    except KeyError:
        raise InputError(f"{wheel}: holds no {name}; build it with `make wheel`") from None
    digest = hashlib.sha256(graph).hexdigest()
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=name,
        version=version,
        bom_ref=name,
        licenses=[DisjunctiveLicense(name="model card", text=AttachedText(content=card["terms"]))],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )


def pinned_packages(lock: Path) -> list[Requirement]:
    """The `name==version ; marker` lines of a requirements file, without its hashes."""
    lines = lock.read_text().replace("\\\n", " ").splitlines()
    return [Requirement(line.split("--hash")[0]) for line in lines]


def package_component(package: Requirement) -> Component:
    """A required package; its marker says for which versions of Python this version of it is."""
    version = next(iter(package.specifier)).version
    marker = [Property(name="senet_kp:marker", value=str(package.marker))] if package.marker else []
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=version,
        bom_ref=f"{package.name}=={version}",
        purl=PackageURL("pypi", name=package.name, version=version),
        properties=marker,
    )


def main() -> int:
    """The command line: one argument, the wheel's path."""
    wheel = Path(sys.argv[1])
    target = wheel.with_suffix(".cdx.json")
    text = JsonV1Dot6(bill_of_materials(wheel)).output_as_string(indent=2)
    write_bytes(target, f"{text}\n".encode())
    print(f"{target}: the bill of materials of {wheel.name}")
    return 0


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
