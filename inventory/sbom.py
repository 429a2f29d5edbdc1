"""The SBOM: what is locked for a run, as CycloneDX 1.6 in JSON. The same list is the same file, byte for byte."""

from __future__ import annotations

import json
import uuid
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from inventory.licences import licence_of
from inventory.locked import Locked, libraries

# What is in the package beside Python: vendored, so that pages work with no internet.
VENDORED = (("swagger-ui-dist", "Apache-2.0"), ("htmx.org", "0BSD"))


def document() -> str:
    """The whole document."""
    ours = Component(
        name="audiences",
        version=version("audiences"),
        type=ComponentType.APPLICATION,
        licenses=[LicenseExpression("Apache-2.0")],
        purl=PackageURL("pypi", name="audiences", version=version("audiences")),
        bom_ref="audiences",
    )
    parts = [component(library) for library in libraries()]
    parts += [
        Component(name=name, type=ComponentType.LIBRARY, licenses=[LicenseExpression(licence)], bom_ref=name)
        for name, licence in VENDORED
    ]
    bom = Bom(components=parts)
    bom.metadata.component = ours
    bom.register_dependency(ours, parts)
    return settled(json.loads(JsonV1Dot6(bom).output_as_string()))


def component(library: Locked) -> Component:
    """A library, with the hashes of all files that it may be installed from as properties: it is one of them."""
    try:
        licence = licence_of(library.name) if library.here else None
    except PackageNotFoundError:
        licence = None
    properties = [Property(name="audiences:sha256", value=one) for one in library.hashes]
    if library.marker:
        properties.append(Property(name="audiences:marker", value=library.marker))
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=one) for one in library.hashes if len(library.hashes) == 1]
    return Component(
        name=library.name,
        version=library.version,
        type=ComponentType.LIBRARY,
        licenses=[] if licence is None else [LicenseExpression(licence)],
        purl=PackageURL("pypi", name=library.name, version=library.version),
        bom_ref=f"{library.name}@{library.version}",
        hashes=hashes,
        properties=properties,
    )


def settled(found: dict[str, Any]) -> str:
    """The document with a serial number of its content in place of a random one, and without the time."""
    found["metadata"].pop("timestamp", None)
    found.pop("serialNumber", None)
    content = json.dumps(found, indent=2, sort_keys=True)
    found["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, content).urn
    return json.dumps(found, indent=2, sort_keys=True) + "\n"
