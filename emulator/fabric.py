"""How fast a group of chips can exchange data over the links and switches that work.

Switched generations (Trn3) reach a peer in the sled by the first-level switch, one in the rack by
the second level, and the chip in the same position of the other rack directly. Trn1 and Trn2 have
a torus in each host, and UltraServers of Trn2 a ring through the hosts for each coordinate. What
no working link joins is forwarded by other chips. AWS does not print what happens on a loss.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emulator.skus import FabricSettings, FleetSkus
from fleet.topology import IntArray, UltraServer
from thermal.arrays import BoolArray, FloatArray

_IN_SLED, _IN_RACK, _INTER_RACK = range(3)  # columns of `link_lost`
_SLEDS_OWN, _RACKS = range(2)  # columns of `switch_lost`
_MOST_HOPS: Final = 8

Order = NDArray[np.intp]


class Fabric:
    """Links of every UltraServer (or single host); faults change what they carry at once."""

    def __init__(self, skus: FleetSkus) -> None:
        self._skus = skus
        self._map = skus.fleet_map
        self._first_chip = np.array(
            [
                self._map.first_chip_of_sled[self._map.sleds_in_ultraserver(row).start]
                for row in range(len(self._map.ultraservers))
            ],
            dtype=np.intp,
        )
        self._healthy: dict[str, _Links] = {}
        self._broken: dict[int, _Links] = {}
        self._link_lost: BoolArray | None = None
        self._switch_lost: BoolArray | None = None

    def break_links(self, link_lost: BoolArray, switch_lost: BoolArray) -> None:
        """Take what is down now: [chips, tiers] links in the sled, in the rack and between racks;
        [sleds, 2] the sled's own switch and its rack's. On a torus the first tier is the torus,
        the others are the ring through the hosts. The same arrays mean that nothing changed.
        """
        if link_lost is self._link_lost and switch_lost is self._switch_lost:
            return
        self._link_lost, self._switch_lost = link_lost, switch_lost
        sleds = self._map.sled_of_chip[link_lost.any(axis=1)]
        struck = np.union1d(sleds, np.flatnonzero(switch_lost.any(axis=1)))
        servers = np.unique(self._map.ultraserver_of_sled[struck.astype(np.intp)])
        self._broken = {int(row): self._links(int(row), link_lost, switch_lost) for row in servers}

    def collective_bytes_per_s(self, chips: IntArray) -> float:
        """Bytes/s that each chip of a group can pass on around the ring, in the best usual order;
        0.0 when some chip is cut off, infinite for one chip alone.
        """
        return self.ring_bytes_per_s(self.ring_order(chips))

    def ring_bytes_per_s(self, order: IntArray | Order) -> float:
        """The same for a ring in the order given: as fast as its slowest hop."""
        if len(order) < 2:
            return math.inf
        servers = {self._server_of(int(chip)) for chip in order}
        if len(servers) > 1:
            return min(self._skus.of_chip(int(chip)).efa_bytes_per_s for chip in order)
        row = servers.pop()
        return self._links_of(row).slowest_hop(tuple((order - self._first_chip[row]).tolist()))

    def ring_order(self, chips: IntArray) -> Order:
        """Up one rack (or host) and down the next, so that rings cross where links are."""
        first = self._first_chip[self._server_of(int(chips[0]))]
        rank = self._links_of(self._server_of(int(chips[0]))).snake
        local = np.asarray(chips, dtype=np.intp) - first
        if local.min() < 0 or local.max() >= len(rank):
            order: Order = np.sort(local) + first  # over the network order does not matter
        else:
            order = local[np.argsort(rank[local])] + first
        return order

    def connected_to(self, chip: int) -> tuple[int, ...]:
        """Positions in the host that a chip has a link of its own to; none where it is switched."""
        sled = int(self._map.sled_of_chip[chip])
        row, span = self._server_of(chip), self._map.chips_in_sled(sled)
        if not self._settings(row).torus_columns:
            return ()
        first = int(self._first_chip[row])
        direct = self._links_of(row).direct[chip - first, span.start - first : span.stop - first]
        return tuple(np.flatnonzero(direct).tolist())

    def _server_of(self, chip: int) -> int:
        return int(self._map.ultraserver_of_sled[self._map.sled_of_chip[chip]])

    def _settings(self, row: int) -> FabricSettings:
        sled = self._map.sleds_in_ultraserver(row).start
        return self._skus.settings[int(self._map.generation_of_sled[sled])].fabric

    def _links_of(self, row: int) -> "_Links":
        if row in self._broken:
            return self._broken[row]
        server = self._map.ultraservers[row]
        if server.generation not in self._healthy:
            chips, sleds = server.fanout.chips, server.fanout.sleds
            nothing = np.zeros((chips, 3), np.bool_), np.zeros((sleds, 2), np.bool_)
            self._healthy[server.generation] = _Links(server, self._settings(row), *nothing)
        return self._healthy[server.generation]

    def _links(self, row: int, link_lost: BoolArray, switch_lost: BoolArray) -> "_Links":
        server, first = self._map.ultraservers[row], int(self._first_chip[row])
        chips = slice(first, first + server.fanout.chips)
        sleds = self._map.sleds_in_ultraserver(row)
        return _Links(server, self._settings(row), link_lost[chips], switch_lost[sleds])


class _Links:
    """One UltraServer; rows are its chips.

    `direct` [chips, chips]: bytes/s of the fastest link of their own, 0 where there is none.
    `snake` [chips]: rank of each in the usual ring.
    """

    def __init__(
        self,
        server: UltraServer,
        settings: FabricSettings,
        link_lost: BoolArray,
        switch_lost: BoolArray,
    ) -> None:
        fanout = server.fanout
        self._detour_ratio = settings.detour_ratio
        self._hops: dict[tuple[int, ...], float] = {}
        sled, place = np.divmod(np.arange(fanout.chips), fanout.chips_per_sled)
        if settings.torus_columns:
            self.direct = _torus(settings, sled, place, fanout.sleds, link_lost)
            self.snake = _snake_rank(sled, _row_snake(place, settings.torus_columns))
        else:
            rack = sled // fanout.sleds_per_rack
            self.direct = _switched(settings, sled, rack, link_lost, switch_lost)
            self.snake = _snake_rank(rack, np.arange(fanout.chips) % (fanout.chips // fanout.racks))

    def slowest_hop(self, ring: tuple[int, ...]) -> float:
        if ring not in self._hops:
            ends = zip(ring, (*ring[1:], ring[0]), strict=True)
            self._hops[ring] = min(self._hop(one, other) for one, other in ends)
        return self._hops[ring]

    def _hop(self, one: int, other: int) -> float:
        """The best way: each chip that forwards leaves `detour_ratio` of its slowest link."""
        reached, best, left_ratio = self.direct[one], float(self.direct[one, other]), 1.0
        for _ in range(_MOST_HOPS - 1):
            left_ratio *= self._detour_ratio
            if best >= left_ratio * self.direct.max(initial=0.0):
                break
            reached = np.minimum(reached[:, None], self.direct).max(axis=0)
            best = max(best, left_ratio * float(reached[other]))
        return best


def _switched(
    settings: FabricSettings,
    sled: Order,
    rack: Order,
    link_lost: BoolArray,
    switch_lost: BoolArray,
) -> FloatArray:
    """A pair of one sled has both switches, and uses the first level while that works."""
    up = ~link_lost
    in_sled = up[:, _IN_SLED] & ~switch_lost[sled, _SLEDS_OWN]
    in_rack = up[:, _IN_RACK] & ~switch_lost[sled, _RACKS]
    place = np.arange(len(sled)) - np.searchsorted(rack, rack)
    opposite = (rack[:, None] != rack) & (place[:, None] == place)
    return np.select(
        [
            (sled[:, None] == sled) & in_sled[:, None] & in_sled,
            (rack[:, None] == rack) & in_rack[:, None] & in_rack,
            opposite & up[:, _INTER_RACK, None] & up[:, _INTER_RACK],
        ],
        [
            settings.in_sled_bytes_per_s,
            settings.in_rack_bytes_per_s,
            settings.inter_rack_bytes_per_s,
        ],
        0.0,
    ) * ~np.eye(len(sled), dtype=np.bool_)


def _torus(
    settings: FabricSettings, sled: Order, place: Order, hosts: int, link_lost: BoolArray
) -> FloatArray:
    columns = settings.torus_columns
    rows = (int(place.max()) + 1) // columns
    down, across = np.divmod(place, columns)
    apart_down, apart_across = _ring_apart(down, rows), _ring_apart(across, columns)
    neighbours = (sled[:, None] == sled) & (apart_down + apart_across == 1)
    next_hosts = (place[:, None] == place) & (_ring_apart(sled, hosts) == 1)
    in_host = ~link_lost[:, _IN_SLED]
    on_ring = ~(link_lost[:, _IN_RACK] | link_lost[:, _INTER_RACK])
    return np.select(
        [neighbours & in_host[:, None] & in_host, next_hosts & on_ring[:, None] & on_ring],
        [settings.torus_link_bytes_per_s, settings.host_ring_link_bytes_per_s],
        0.0,
    )


def _ring_apart(position: Order, length: int) -> NDArray[np.intp]:
    """[n, n] steps between positions on a ring of this length."""
    ahead = (position[:, None] - position) % length
    apart: NDArray[np.intp] = np.minimum(ahead, length - ahead)
    return apart


def _row_snake(place: Order, columns: int) -> Order:
    """Rank of each place of a grid, walked row by row in turns."""
    down, across = np.divmod(place, columns)
    snaked: Order = down * columns + np.where(down % 2, columns - 1 - across, across)
    return snaked


def _snake_rank(unit: Order, rank: Order | Sequence[int]) -> Order:
    """Rank in the whole, when units are walked forwards and backwards in turns."""
    inner, most = np.asarray(rank), int(np.max(rank)) + 1
    ranked: Order = unit * most + np.where(unit % 2, most - 1 - inner, inner)
    return ranked
