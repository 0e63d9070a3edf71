from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fleet.errors import ConfigurationError
from fleet.topology import FleetMap


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentSettings:
    """What may stand where. With nothing set, the first that comes to a place is trusted."""

    inventory: Mapping[str, str] | None = None
    """Sled id -> serial of the sled that belongs there; None: trust on first use."""
    firmware: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Component -> version -> SHA-384 of its image, empty where that is not known. Of a component
    that is not listed, what was enrolled is allowed.
    """
    roots_pem: str = ""
    """Certificates that a card's must lead to; empty: signatures are not asked for."""

    def validate(self, fleet_map: FleetMap) -> None:
        """ConfigurationError for sleds that the fleet has not, and for serials listed twice."""
        inventory = self.inventory or {}
        if strangers := sorted(set(inventory) - set(fleet_map.sled_ids)):
            raise ConfigurationError(f"inventory: the fleet has no sled {strangers[0]!r}")
        places: dict[str, str] = {}
        for sled_id, serial in inventory.items():
            if serial in places:
                raise ConfigurationError(
                    f"inventory: {places[serial]} and {sled_id} have the same serial {serial!r}"
                )
            places[serial] = sled_id


def read_enrolment(path: Path) -> EnrolmentSettings:
    """Settings from a YAML file with `inventory`, `firmware` and `roots` (a PEM file beside it).

    ConfigurationError names the file and what of it can not be used.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"enrolment {path}: {reason}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"enrolment {path}: not a mapping")
    if unknown := sorted(map(str, document.keys() - {"inventory", "firmware", "roots"})):
        raise ConfigurationError(
            f"enrolment {path}: unknown {unknown[0]!r}; it has inventory, firmware, roots"
        )
    inventory = document.get("inventory")
    firmware = _texts(path, "firmware", document.get("firmware") or {}, depth=2)
    return EnrolmentSettings(
        inventory=None if inventory is None else _texts(path, "inventory", inventory, depth=1),
        firmware=firmware,
        roots_pem=_roots(path, document.get("roots")),
    )


def _texts(path: Path, name: str, value: object, *, depth: int) -> Any:
    """`value` as mappings of text, `depth` of them within each other."""
    if not isinstance(value, dict):
        raise ConfigurationError(f"enrolment {path}: {name} is not a mapping")
    found: dict[str, Any] = {}
    for key, inner in value.items():
        where = f"{name}: {key}"
        if not isinstance(key, str):
            raise ConfigurationError(f"enrolment {path}: {where} is not text; put it in quotes")
        if depth > 1:
            found[key] = _texts(path, where, inner, depth=depth - 1)
        elif isinstance(inner, str) or inner is None:
            found[key] = inner or ""
        else:
            raise ConfigurationError(f"enrolment {path}: {where} is not text; put it in quotes")
    return found


def _roots(path: Path, name: object) -> str:
    if name is None:
        return ""
    if not isinstance(name, str):
        raise ConfigurationError(f"enrolment {path}: roots is not the name of a file")
    try:
        return path.parent.joinpath(name).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"enrolment {path}: roots {name}: {error}") from error
