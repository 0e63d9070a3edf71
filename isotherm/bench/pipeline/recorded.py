"""Telemetry of the emulated world, to be said again by a larger fleet and for longer."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emulator.options import EmulatorOptions
from fleet.bus import Start
from fleet.clock import NS_PER_S, ManualClock
from fleet.codec import Compression, decode_message, encode_message
from fleet.frame import Frame, Slab
from fleet.topics import SCHEMAS, TELEMETRY
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.bench.fleet import submit
from isotherm.up.embedded import EmbeddedDatacenter, EmbeddedOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What 72 sleds under load said, tick by tick, with the noise of their sensors."""

    slabs: tuple[Slab, ...]
    schemas: tuple[tuple[str, bytes], ...]

    @property
    def samples_per_tick(self) -> int:
        slab = self.slabs[0]
        return len(slab) * int(slab.values.shape[2] + slab.counters.shape[2])


def record(seconds: int, seed: int) -> Recorded:
    """One cooling loop of the emulated world through its real agents, after a minute's run-up."""
    clock = ManualClock()
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as state_dir:
        options = EmbeddedOptions(
            state_dir=Path(state_dir),
            emulator=EmulatorOptions(seed=seed, load_ratio=0.8),
            seed=seed,
        )
        center = EmbeddedDatacenter(options, FleetMap(trn3_datacenter()), clock)
        try:
            submit(center, clock)
            for _ in range(60 + seconds):
                clock.advance(1.0)
                center.tick()
            said = center.bus.reader(TELEMETRY, start=Start.BEGINNING).poll(0.0, 1_000_000)
            schemas = center.bus.reader(SCHEMAS, start=Start.BEGINNING).poll(0.0)
        finally:
            center.stop()
            center.close()
    slabs = [slab for message in said for slab in decode_message(message.value).slabs]
    sleds = [slab for slab in slabs if len(slab) > 1][-seconds:]
    return Recorded(
        slabs=tuple(sleds), schemas=tuple((record.key, record.value) for record in schemas)
    )


def said_again(
    recorded: Recorded, fleet_map: FleetMap, *, ticks: int, ticks_per_message: int, t0_unix_ns: int
) -> Iterator[tuple[str, bytes]]:
    """(loop, message) in order of time: every loop of `fleet_map` says `ticks` recorded ticks."""
    for first in range(0, ticks, ticks_per_message):
        taken = [
            recorded.slabs[tick % len(recorded.slabs)]
            for tick in range(first, min(first + ticks_per_message, ticks))
        ]
        values = np.concatenate([slab.values for slab in taken], axis=1)
        counters = np.concatenate([slab.counters for slab in taken], axis=1)
        for loop, loop_id in enumerate(fleet_map.loop_ids):
            sleds = fleet_map.sleds_in_loop(loop)
            frames = [
                Frame(
                    agent=fleet_map.sled_ids[sled],
                    epoch=1,
                    seq=first // ticks_per_message + 1,
                    schema_id=taken[0].schema_id,
                    t0_unix_ns=t0_unix_ns + first * NS_PER_S,
                    dt_ns=NS_PER_S,
                    values=values[sled - sleds.start],
                    counters=counters[sled - sleds.start],
                )
                for sled in range(sleds.start, sleds.stop)
            ]
            yield loop_id, encode_message(loop_id, frames, Compression.NONE)
