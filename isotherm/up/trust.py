"""What a controller is to trust where every sled is emulated."""

from dataclasses import replace
from pathlib import Path

import yaml

from controller.enrolment.settings import EnrolmentSettings
from controller.options import ControllerOptions
from emulator.nitro import NitroSettings, measurement, root_pem

_ROOTS = "emulated-root.pem"


def emulated_trust() -> EnrolmentSettings:
    """The emulated root, and the firmware that healthy emulated cards run."""
    versions = NitroSettings().versions
    return EnrolmentSettings(
        roots_pem=root_pem(),
        firmware={name: {one: measurement(name, one)} for name, one in versions.items()},
    )


def trusting(options: ControllerOptions) -> ControllerOptions:
    """Options as they are, with the emulated trust where they name none."""
    if options.enrolment != EnrolmentSettings():
        return options
    return replace(options, enrolment=emulated_trust())


def write_trust(directory: Path) -> Path:
    """The emulated trust as a file for `isotherm controller --enrolment`."""
    directory.mkdir(parents=True, exist_ok=True)
    trust = emulated_trust()
    (directory / _ROOTS).write_text(trust.roots_pem, encoding="ascii")
    document = {
        "roots": _ROOTS,
        "firmware": {name: dict(versions) for name, versions in trust.firmware.items()},
    }
    path = directory / "enrolment.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path
