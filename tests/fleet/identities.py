"""Identities with defaults, for tests."""

from typing import Any

from fleet.identity import Announcement, FirmwareWord, SledIdentity


def word(version: str = "2.31.4", digit: str = "a") -> FirmwareWord:
    return FirmwareWord(version=version, sha384=96 * digit)


def make_identity(number: int = 1, **changed: Any) -> SledIdentity:
    """Of the sled with this number; no serial is that of another number."""
    fields: dict[str, Any] = {
        "serial": f"SL{number}",
        "part_number": "P1",
        "nitro_serial": f"NC{number}",
        "chip_serials": (f"c{number}0", f"c{number}1"),
        "firmware": {"nitro": word(), "bmc": word("1.18.0", "b")},
    }
    return SledIdentity(**{**fields, **changed})


def make_announcement(number: int = 1, **changed: Any) -> Announcement:
    return Announcement(epoch=1, number=1, identity=make_identity(number, **changed))
