from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from itertools import count
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fleet.errors import ConfigurationError, UnknownIdError

IntArray = NDArray[np.int32]


class Cooling(StrEnum):
    LIQUID = "liquid"  # cold plates on a coolant loop
    AIR = "air"  # fans; the heat goes to the hall


class LoopKind(StrEnum):
    LIQUID_TO_LIQUID = "liquid-to-liquid"  # the CDU gives the heat to facility water
    LIQUID_TO_AIR = "liquid-to-air"  # an in-row CDU gives the heat to the hall's air by fans
    AIR = "air"  # a row of air-cooled hosts; its air handler looks after itself

    @property
    def cooling(self) -> Cooling:
        """What the chips on such a loop must be made for."""
        return Cooling.AIR if self is LoopKind.AIR else Cooling.LIQUID


class Generation(StrEnum):
    TRN1 = "trn1"  # 16 chips a host, air
    TRN2 = "trn2"  # 16 chips a host, air
    TRN2_ULTRASERVER = "trn2-ultraserver"  # 4 hosts of 16 chips, air
    TRN3_GEN1 = "trn3-gen1"  # 4 hosts of 16 chips in two racks, air
    TRN3_GEN2 = "trn3-gen2"  # 36 sleds of 4 chips in two racks, liquid
    CS3 = "cs3"  # one wafer, decode node class


@dataclass(frozen=True, slots=True, kw_only=True)
class FabricTiers:
    """GB/s a chip to its peers by tier, as AWS prints it (bidirectional)."""

    in_sled_gb_per_s: float
    in_rack_gb_per_s: float
    inter_rack_gb_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fanout:
    """What one UltraServer (or single host) of a generation is made of.

    Source: AWS Neuron documentation, trn1/trn2/trn3 architecture pages. 18 sleds a rack for Trn3
    Gen2 is 36 over two racks; AWS does not print it.
    """

    racks: int
    sleds_per_rack: int
    chips_per_sled: int
    cores_per_chip: int
    cores_per_logical: int
    """Physical cores that the runtime shows as one (the logical core configuration)."""
    cooling: Cooling
    device_type: str  # `neuron_device_type` of neuron-monitor
    hbm_gib: int
    fabric: FabricTiers
    cold_plates: int = 1
    """Of 1 kW, side by side on one chip, whose coolant a loop is sized for."""

    @property
    def logical_cores_per_chip(self) -> int:
        return self.cores_per_chip // self.cores_per_logical

    @property
    def sleds(self) -> int:
        return self.racks * self.sleds_per_rack

    @property
    def chips(self) -> int:
        return self.sleds * self.chips_per_sled


_NO_FABRIC: Final = FabricTiers(in_sled_gb_per_s=0.0, in_rack_gb_per_s=0.0, inter_rack_gb_per_s=0.0)
_NEURONSWITCH: Final = FabricTiers(
    in_sled_gb_per_s=256.0, in_rack_gb_per_s=320.0, inter_rack_gb_per_s=128.0
)


def _fanout(
    racks: int,
    sleds_per_rack: int,
    chips_per_sled: int,
    cores: tuple[int, int],
    cooling: Cooling,
    device: tuple[str, int, FabricTiers],
) -> Fanout:
    device_type, hbm_gib, fabric = device
    return Fanout(
        racks=racks,
        sleds_per_rack=sleds_per_rack,
        chips_per_sled=chips_per_sled,
        cores_per_chip=cores[0],
        cores_per_logical=cores[1],
        cooling=cooling,
        device_type=device_type,
        hbm_gib=hbm_gib,
        fabric=fabric,
    )


_TRN2: Final = ("trainium2", 96, _NO_FABRIC)
_TRN3: Final = ("trainium3", 144, _NEURONSWITCH)

FANOUTS: Final[Mapping[Generation, Fanout]] = {
    Generation.TRN1: _fanout(1, 1, 16, (2, 1), Cooling.AIR, ("trainium", 32, _NO_FABRIC)),
    Generation.TRN2: _fanout(1, 1, 16, (8, 2), Cooling.AIR, _TRN2),
    Generation.TRN2_ULTRASERVER: _fanout(1, 4, 16, (8, 2), Cooling.AIR, _TRN2),
    Generation.TRN3_GEN1: _fanout(2, 2, 16, (8, 2), Cooling.AIR, _TRN3),
    Generation.TRN3_GEN2: _fanout(2, 18, 4, (8, 2), Cooling.LIQUID, _TRN3),
    Generation.CS3: replace(
        _fanout(1, 1, 1, (900_000, 900_000), Cooling.LIQUID, ("cs3", 0, _NO_FABRIC)),
        cold_plates=21,  # estimate: the engine block of a wafer of 21 kW
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UltraServer:
    """Id is `hall/ultraserver`, for example `h1/us01`."""

    id: str
    generation: Generation

    @property
    def fanout(self) -> Fanout:
        return FANOUTS[self.generation]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolingLoop:
    """One CDU and the UltraServers whose heat it carries; ids `h1/loop01`, `h1/cdu01`.

    An AIR loop is a row of air-cooled hosts: `h1/row01`, with its air handler `h1/crah01` where
    a CDU stands otherwise. ConfigurationError for a generation that its kind can not cool.
    """

    id: str
    cdu_id: str
    ultraservers: tuple[UltraServer, ...]
    kind: LoopKind = LoopKind.LIQUID_TO_LIQUID

    def __post_init__(self) -> None:
        for us in self.ultraservers:
            if us.fanout.cooling is not self.kind.cooling:
                raise ConfigurationError(
                    f"{self.id} ({self.kind}) can not cool {us.id}: {us.generation} is cooled by "
                    f"{us.fanout.cooling}; use a loop of kind {_kinds_for(us.fanout.cooling)}"
                )


def _kinds_for(cooling: Cooling) -> str:
    return " or ".join(kind for kind in LoopKind if kind.cooling is cooling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Datacenter:
    """A hall and its cooling loops."""

    hall: str
    loops: tuple[CoolingLoop, ...]


def trn3_datacenter(*, hall: str = "h1", loops: int = 1, ultraservers: int = 2) -> Datacenter:
    """Halls of Trn3 Gen2 UltraServers, `ultraservers` on each of `loops` cooling loops."""
    built = []
    for loop in range(1, loops + 1):
        first = (loop - 1) * ultraservers + 1
        built.append(
            CoolingLoop(
                id=f"{hall}/loop{loop:02d}",
                cdu_id=f"{hall}/cdu{loop:02d}",
                ultraservers=tuple(
                    UltraServer(id=f"{hall}/us{number:02d}", generation=Generation.TRN3_GEN2)
                    for number in range(first, first + ultraservers)
                ),
            )
        )
    return Datacenter(hall=hall, loops=tuple(built))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopPlan:
    """What stands on one loop or row of a hall that is to be built."""

    kind: LoopKind
    ultraservers: Mapping[Generation, int]
    """How many of each generation, in this order."""


def mixed_datacenter(plans: Sequence[LoopPlan], *, hall: str = "h1") -> Datacenter:
    """A hall of several generations. UltraServers are numbered through the hall, liquid loops and
    air rows each on their own. ConfigurationError for a loop that is empty or can not cool its
    load.
    """
    if not plans:
        raise ConfigurationError(f"hall {hall} has no loop: give it at least one")
    names = _loop_names(hall)
    numbers = count(1)
    return Datacenter(
        hall=hall,
        loops=tuple(_planned_loop(plan, names, numbers, hall) for plan in plans),
    )


def _loop_names(hall: str) -> Mapping[Cooling, Iterator[tuple[str, str]]]:
    return {
        Cooling.LIQUID: ((f"{hall}/loop{n:02d}", f"{hall}/cdu{n:02d}") for n in count(1)),
        Cooling.AIR: ((f"{hall}/row{n:02d}", f"{hall}/crah{n:02d}") for n in count(1)),
    }


def _planned_loop(
    plan: LoopPlan,
    names: Mapping[Cooling, Iterator[tuple[str, str]]],
    numbers: Iterator[int],
    hall: str,
) -> CoolingLoop:
    loop_id, cdu_id = next(names[plan.kind.cooling])
    if sum(plan.ultraservers.values()) < 1 or min(plan.ultraservers.values()) < 0:
        raise ConfigurationError(f"{loop_id} ({plan.kind}) needs at least one UltraServer")
    return CoolingLoop(
        id=loop_id,
        cdu_id=cdu_id,
        kind=plan.kind,
        ultraservers=tuple(
            UltraServer(id=f"{hall}/us{next(numbers):02d}", generation=generation)
            for generation, wanted in plan.ultraservers.items()
            for _ in range(wanted)
        ),
    )


class FleetMap:
    """Ids and dense indices of one data center.

    A chip's dense index is its row in every column of the fleet (int32). Chips of one sled are
    adjacent, sleds of one UltraServer are adjacent, UltraServers of one loop are adjacent, so each
    of them is a slice.
    """

    def __init__(self, datacenter: Datacenter) -> None:
        self.datacenter = datacenter
        self.loop_ids = tuple(loop.id for loop in datacenter.loops)
        self.cdu_ids = tuple(loop.cdu_id for loop in datacenter.loops)
        servers = [(n, us) for n, loop in enumerate(datacenter.loops) for us in loop.ultraservers]
        self.ultraservers = tuple(us for _, us in servers)
        self.ultraserver_ids = tuple(us.id for us in self.ultraservers)
        sled_ids: list[str] = []
        ultraserver_of_sled: list[int] = []
        rack_of_sled: list[int] = []
        chips_of_sled: list[int] = []
        for number, us in enumerate(self.ultraservers):
            for rack in range(1, us.fanout.racks + 1):
                for sled in range(1, us.fanout.sleds_per_rack + 1):
                    sled_ids.append(f"{us.id}/r{rack}/s{sled:02d}")
                    ultraserver_of_sled.append(number)
                    rack_of_sled.append(rack)
                    chips_of_sled.append(us.fanout.chips_per_sled)
        self.sled_ids = tuple(sled_ids)
        self.chips_of_sled: IntArray = np.array(chips_of_sled, dtype=np.int32)
        self.rack_of_sled: IntArray = np.array(rack_of_sled, dtype=np.int32)
        self.ultraserver_of_sled: IntArray = np.array(ultraserver_of_sled, dtype=np.int32)
        loop_of_ultraserver = np.array([n for n, _ in servers], dtype=np.int32)
        self.loop_of_sled: IntArray = loop_of_ultraserver[self.ultraserver_of_sled]
        self.first_chip_of_sled: IntArray = np.concatenate(
            ([0], np.cumsum(self.chips_of_sled)[:-1])
        ).astype(np.int32)
        self.sled_of_chip: IntArray = np.repeat(
            np.arange(len(sled_ids), dtype=np.int32), self.chips_of_sled
        )
        self.loop_of_chip: IntArray = self.loop_of_sled[self.sled_of_chip]
        self.kind_of_loop = tuple(loop.kind for loop in datacenter.loops)
        self.generations = tuple(dict.fromkeys(us.generation for us in self.ultraservers))
        """Generations in the hall; `generation_of_sled` and `generation_of_chip` point into it."""
        generation_of_ultraserver = np.array(
            [self.generations.index(us.generation) for us in self.ultraservers], dtype=np.int32
        )
        self.generation_of_sled: IntArray = generation_of_ultraserver[self.ultraserver_of_sled]
        self.generation_of_chip: IntArray = self.generation_of_sled[self.sled_of_chip]

    @property
    def chips(self) -> int:
        return len(self.sled_of_chip)

    @property
    def sleds(self) -> int:
        return len(self.sled_ids)

    def cooling_of_sled(self, sled: int) -> Cooling:
        return self.kind_of_loop[int(self.loop_of_sled[sled])].cooling

    def loops_cooled_by(self, cooling: Cooling) -> tuple[int, ...]:
        """Rows of the loops whose chips are cooled so."""
        return tuple(n for n, kind in enumerate(self.kind_of_loop) if kind.cooling is cooling)

    @cached_property
    def chip_ids(self) -> tuple[str, ...]:
        return tuple(
            f"{sled}/c{chip}"
            for sled, chips in zip(self.sled_ids, self.chips_of_sled, strict=True)
            for chip in range(int(chips))
        )

    @cached_property
    def _rows(self) -> dict[str, dict[str, int]]:
        return {
            "chip": _index(self.chip_ids),
            "sled": _index(self.sled_ids),
            "ultraserver": _index(self.ultraserver_ids),
            "loop": _index(self.loop_ids),
            "cdu": _index(self.cdu_ids),
        }

    def chip(self, chip_id: str) -> int:
        """Dense index of a chip; UnknownIdError if the fleet has none of this id."""
        return self._row("chip", chip_id)

    def sled(self, sled_id: str) -> int:
        return self._row("sled", sled_id)

    def ultraserver(self, ultraserver_id: str) -> int:
        return self._row("ultraserver", ultraserver_id)

    def loop(self, loop_id: str) -> int:
        return self._row("loop", loop_id)

    def cdu(self, cdu_id: str) -> int:
        """Index of a CDU, which is also the index of its loop."""
        return self._row("cdu", cdu_id)

    def chips_in_sled(self, sled: int) -> slice:
        first = int(self.first_chip_of_sled[sled])
        return slice(first, first + int(self.chips_of_sled[sled]))

    def sleds_in_loop(self, loop: int) -> slice:
        return _span(self.loop_of_sled, loop)

    def chips_in_loop(self, loop: int) -> slice:
        return _span(self.loop_of_chip, loop)

    def plates_in_loop(self, loop: int) -> int:
        """Cold plates of 1 kW, which a loop's flows and exchanger are sized for."""
        servers = self.datacenter.loops[loop].ultraservers
        return sum(us.fanout.chips * us.fanout.cold_plates for us in servers)

    def sleds_in_ultraserver(self, ultraserver: int) -> slice:
        return _span(self.ultraserver_of_sled, ultraserver)

    def _row(self, kind: str, wanted: str) -> int:
        try:
            return self._rows[kind][wanted]
        except KeyError:
            raise UnknownIdError(kind, wanted) from None


def _index(ids: Iterable[str]) -> dict[str, int]:
    return {value: row for row, value in enumerate(ids)}


def _span(owner: IntArray, wanted: int) -> slice:
    # Owners are adjacent and ascending by construction.
    return slice(
        int(np.searchsorted(owner, wanted, side="left")),
        int(np.searchsorted(owner, wanted, side="right")),
    )
