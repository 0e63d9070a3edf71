"""Which frames must be in history, by the agents' own spools, and which are, by SQL."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from agent.publish import unpack
from controller.history.block import decode_count
from controller.history.window import TIMES
from controller.state.roster import Roster
from controller.store import Store
from fleet.codec import decode_message
from fleet.frame import MISSING_COUNT
from fleet.segment import Segment
from fleet.topology import FleetMap

Life = tuple[str, int]
"""(agent, epoch)"""
_ALL_TIME: Final = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Frames that were spooled against frames that are stored."""

    spooled: int
    stored: int
    lost: int
    duplicates: int
    undeclared_gaps: int
    """Runs of lost frames with stored ones behind them; nothing is declared lost here, for the
    spools never fill.
    """


def last_spooled(state_dir: Path) -> tuple[dict[Life, int], int]:
    """Last number in the files of an agent's spool for the newest life in it, if there is any, and
    the index of the newest record.

    To be asked between a kill and the next start, which may delete what is confirmed.
    """
    found: dict[Life, int] = {}
    index = 0
    for segment in Segment.all_in(state_dir / "spool" / "telemetry"):
        try:
            newest = None
            for newest in segment.scan():  # noqa: B007 - the last one is what counts
                pass
            payload = segment.read(newest) if newest is not None else None
        finally:
            segment.close()
        if newest is not None and payload is not None:
            index = max(index, newest.index)
            for frame in decode_message(unpack(payload).value).frames:
                life = (frame.agent, frame.epoch)
                found[life] = max(found.get(life, 0), frame.seq)
    return found, index


def confirmed(state_dir: Path) -> int:
    """Index up to which an agent knows that Kafka has its records."""
    try:
        mark = (state_dir / "spool" / "telemetry" / "confirmed").read_bytes()
    except FileNotFoundError:
        return 0
    return int.from_bytes(mark[:8], "little")


def stored_frames(database: str, fleet_map: FleetMap) -> dict[Life, Counter[int]]:
    """Life -> how often each of its numbers stands in history."""
    roster = Roster(fleet_map)
    found: dict[Life, Counter[int]] = {}
    store = Store(database)
    try:
        with store.read() as tx:
            for group_id, first_row in zip(roster.group_ids, roster.first_row, strict=True):
                for block in tx.blocks.of_group(
                    group_id, [TIMES], from_unix_ns=0, until_unix_ns=_ALL_TIME
                ):
                    _count(found, roster.agents, int(first_row), decode_count(block.body))
    finally:
        store.close()
    return found


def _count(
    found: dict[Life, Counter[int]],
    agents: tuple[str, ...],
    first_row: int,
    names: np.ndarray,
) -> None:
    """`names` (3 * seats, ticks): times, epochs and numbers, as a window keeps them."""
    _, epochs, seqs = names.reshape(3, -1, names.shape[1])
    for seat, tick in np.argwhere(epochs != MISSING_COUNT).tolist():
        life = (agents[first_row + seat], int(epochs[seat, tick]))
        found.setdefault(life, Counter())[int(seqs[seat, tick])] += 1


def judge(spooled: dict[Life, int], stored: dict[Life, Counter[int]]) -> Verdict:
    """Numbers of a life begin at 1; each frame here is one tick."""
    lost = gaps = 0
    for life, last in spooled.items():
        there = stored.get(life, Counter())
        missing = [seq for seq in range(1, last + 1) if seq not in there]
        lost += len(missing)
        # A run ends at a number whose successor is stored.
        gaps += sum(seq + 1 in there for seq in missing)
    return Verdict(
        spooled=sum(spooled.values()),
        stored=sum(len(seqs) for seqs in stored.values()),
        lost=lost,
        duplicates=sum(n - 1 for seqs in stored.values() for n in seqs.values()),
        undeclared_gaps=gaps,
    )
