"""A hall as a JSON document, so that processes of their own know the same one.

It has `hall`, its name, and `loops`, each with `id`, `cdu_id`, `kind` and `ultraservers`, which are
pairs of id and generation.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from fleet.errors import ConfigurationError
from fleet.topology import (
    CoolingLoop,
    Datacenter,
    FleetMap,
    Generation,
    LoopKind,
    UltraServer,
    trn3_datacenter,
)


class DescribedLoop(msgspec.Struct, frozen=True, kw_only=True):
    """A cooling loop in a document; UltraServers are pairs of id and generation."""

    id: str
    cdu_id: str
    kind: LoopKind
    ultraservers: list[tuple[str, Generation]]


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    hall: str
    loops: list[DescribedLoop]


def described(datacenter: Datacenter) -> list[DescribedLoop]:
    return [
        DescribedLoop(
            id=loop.id,
            cdu_id=loop.cdu_id,
            kind=loop.kind,
            ultraservers=[(us.id, us.generation) for us in loop.ultraservers],
        )
        for loop in datacenter.loops
    ]


def rebuilt(hall: str, loops: Sequence[DescribedLoop]) -> Datacenter:
    """ConfigurationError for a description that is no hall."""
    return Datacenter(
        hall=hall,
        loops=tuple(
            CoolingLoop(
                id=loop.id,
                cdu_id=loop.cdu_id,
                kind=loop.kind,
                ultraservers=tuple(
                    UltraServer(id=us_id, generation=generation)
                    for us_id, generation in loop.ultraservers
                ),
            )
            for loop in loops
        ),
    )


def write_hall(path: Path, datacenter: Datacenter) -> Path:
    document = _Document(hall=datacenter.hall, loops=described(datacenter))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1))
    return path


def read_hall(path: Path) -> Datacenter:
    """ConfigurationError, with the file's name, for what is no hall."""
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_Document)
        _check(document)
        return rebuilt(document.hall, document.loops)
    except OSError as error:
        raise ConfigurationError(f"hall {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ConfigurationError) as error:
        raise ConfigurationError(f"hall {path}: {error}") from error


def _check(document: _Document) -> None:
    ids = [name for loop in document.loops for name in (loop.id, loop.cdu_id)]
    ids += [us_id for loop in document.loops for us_id, _ in loop.ultraservers]
    twice = [name for name, times in Counter(ids).items() if times > 1]
    if twice:
        raise ConfigurationError(f"{twice[0]} is there twice")
    if not document.loops:
        raise ConfigurationError("it has no loop")
    for loop in document.loops:
        if not loop.ultraservers:
            raise ConfigurationError(f"{loop.id} has nothing to cool")


def fleet_of(hall: Path | None, *, loops: int, ultraservers: int) -> FleetMap:
    """Of the document, or where there is none of so many loops of Trn3 UltraServers."""
    if hall is not None:
        return FleetMap(read_hall(hall))
    return FleetMap(trn3_datacenter(loops=loops, ultraservers=ultraservers))
