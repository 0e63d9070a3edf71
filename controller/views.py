"""What the controller shows of a cooling loop each cycle; the web processes read it on LIVE."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Final

import msgspec
import numpy as np

from controller.cooling.control import LoopSetpoints, LoopTrip
from controller.cooling.loop import LoopControl
from controller.cooling.margins import Margins
from controller.state.snapshot import FleetSnapshot
from fleet.clock import NS_PER_S
from fleet.errors import MalformedMessageError
from fleet.frame import FloatBlock


class TripView(msgspec.Struct, frozen=True, kw_only=True):
    """A latched interlock; `level` is hold, shed or off."""

    reason: str
    since_unix_ns: int
    level: str
    cause: str


class IngestView(msgspec.Struct, frozen=True, kw_only=True):
    """The controller that shows a loop, as it is itself: the same in the views of all its loops,
    but for the partition. Counts are since it began.
    """

    controller: str
    partition: int
    behind_messages: int | None
    """Published and not read yet; None when it is not known."""
    dead_letters: dict[str, int]
    """By reason."""
    counts: dict[str, int]


class LoopView(msgspec.Struct, frozen=True, kw_only=True):
    """One loop at one cycle. `chips` and `sleds` hold float32 little-endian columns, rows of this
    loop only, in the order of FleetMap; NaN where absent. `sled_age_s` is such a column, infinite
    for a sled never heard; `cdu_age_s` is None for a CDU never heard.
    """

    loop: str
    at_unix_ns: int
    cycle: int
    mode: str
    mode_reason: str
    mode_since_unix_ns: int
    setpoints: dict[str, float]
    cdu: dict[str, float | None]
    pumps: list[dict[str, float | None]]
    trips: list[TripView]
    sensor_faults: dict[str, str]
    chips: dict[str, bytes]
    sleds: dict[str, bytes]
    sled_age_s: bytes
    cdu_age_s: float | None
    counters: dict[str, int]
    sled_frames: bytes = b""
    """uint64 [2, sleds]: epoch and seq of the newest frame of each sled."""
    law: str = ""
    """Which moves it; empty where none does."""
    margins: dict[str, float | None] = {}
    """Of `controller.cooling.margins.Margins`, by name; None where it is not known."""
    control: bytes = b""
    """What the loop's control remembers, for the controller that goes on after this one."""

    ingest: IngestView | None = None


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(LoopView)
_control_decoder: Final = msgspec.msgpack.Decoder(LoopControl)


def encode_view(view: LoopView) -> bytes:
    return _encoder.encode(view)


def decode_view(data: bytes) -> LoopView:
    """Raises MalformedMessageError when the bytes are not a view."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise MalformedMessageError(f"not a view of a loop: {error}") from error


def loop_view(
    control: LoopControl, snapshot: FleetSnapshot, counters: Mapping[str, int]
) -> LoopView:
    row = snapshot.fleet_map.loop(control.loop_id)
    return msgspec.structs.replace(
        _measured(control.loop_id, snapshot, counters),
        mode=control.mode.value,
        mode_reason=control.mode_reason,
        mode_since_unix_ns=control.mode_since_unix_ns,
        setpoints=_setpoints(control.setpoints),
        law=control.law_name.value,
        pumps=_pumps(snapshot.pump, row),
        trips=_trips(control.trips),
        sensor_faults={fault.sensor: fault.reason for fault in control.sensor_faults},
        margins=_margins(control.margins),
        control=_encoder.encode(control),
    )


def control_of(view: LoopView) -> LoopControl | None:
    """None where nothing was remembered, or by another build in another way."""
    try:
        return _control_decoder.decode(view.control)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def with_others(snapshot: FleetSnapshot, views: Iterable[LoopView]) -> FleetSnapshot:
    """The fleet with loops that other controllers look after, as they show them; counts and pumps
    are not shown. Views of another fleet map are passed over.
    """
    chip = {name: column.copy() for name, column in snapshot.chip.items()}
    sled = {name: column.copy() for name, column in snapshot.sled.items()}
    age_s, frame = snapshot.sled_age_s.copy(), snapshot.sled_frame.copy()
    fleet_map = snapshot.fleet_map
    for view in views:
        row = fleet_map.loop(view.loop)
        chips, sleds = fleet_map.chips_in_loop(row), fleet_map.sleds_in_loop(row)
        ages = np.frombuffer(view.sled_age_s, "<f4")
        frames = np.frombuffer(view.sled_frames, "<u8")
        if len(ages) != len(age_s[sleds]) or len(frames) != 2 * len(ages):
            continue
        since_s = max(snapshot.at_unix_ns - view.at_unix_ns, 0) / NS_PER_S
        age_s[sleds] = ages + since_s
        frame[:, sleds] = frames.reshape(2, -1)
        _lay(chip, view.chips, chips)
        _lay(sled, view.sleds, sleds)
    return replace(snapshot, chip=chip, sled=sled, sled_age_s=age_s, sled_frame=frame)


def _lay(columns: Mapping[str, FloatBlock], shown: Mapping[str, bytes], rows: slice) -> None:
    for name, data in shown.items():
        values = np.frombuffer(data, "<f4")
        if name in columns and len(values) == len(columns[name][rows]):
            columns[name][rows] = values


def air_row_view(row_id: str, snapshot: FleetSnapshot, counters: Mapping[str, int]) -> LoopView:
    """A row of air-cooled hosts: watched, not steered, so its mode is `local`."""
    return _measured(row_id, snapshot, counters)


def _measured(loop_id: str, snapshot: FleetSnapshot, counters: Mapping[str, int]) -> LoopView:
    fleet_map = snapshot.fleet_map
    row = fleet_map.loop(loop_id)
    chips, sleds = fleet_map.chips_in_loop(row), fleet_map.sleds_in_loop(row)
    return LoopView(
        loop=loop_id,
        at_unix_ns=snapshot.at_unix_ns,
        cycle=snapshot.cycle,
        mode="local",
        mode_reason="its air handler looks after itself",
        mode_since_unix_ns=0,
        setpoints={},
        cdu={name: _value(column[row]) for name, column in snapshot.cdu.items()},
        pumps=[],
        trips=[],
        sensor_faults={},
        chips=_columns(snapshot.chip, chips),
        sleds=_columns(snapshot.sled, sleds),
        sled_age_s=snapshot.sled_age_s[sleds].astype("<f4").tobytes(),
        cdu_age_s=_value(snapshot.cdu_age_s[row]),
        counters=dict(counters),
        sled_frames=snapshot.sled_frame[:, sleds].astype("<u8").tobytes(),
    )


def _setpoints(setpoints: LoopSetpoints) -> dict[str, float]:
    return {
        "supply_c": setpoints.supply_c,
        "valve_ratio": setpoints.valve_ratio,
        "pump_ratio": setpoints.pump_ratio,
        "flow_lpm": setpoints.flow_lpm,
    }


def _margins(margins: Margins) -> dict[str, float | None]:
    found = {one.name: getattr(margins, one.name) for one in fields(Margins)}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def _trips(trips: Iterable[LoopTrip]) -> list[TripView]:
    return [
        TripView(
            reason=trip.reason.value,
            since_unix_ns=trip.since_unix_ns,
            level=trip.level.name.lower(),
            cause=trip.cause,
        )
        for trip in trips
    ]


def _pumps(columns: Mapping[str, FloatBlock], row: int) -> list[dict[str, float | None]]:
    """Pumps that have said something; the columns have rows for more than a CDU may have."""
    table = {name: column[row] for name, column in columns.items()}
    pumps = next(iter(table.values())).shape[0]
    shown = [
        {name: _value(column[pump]) for name, column in table.items()} for pump in range(pumps)
    ]
    while shown and all(value is None for value in shown[-1].values()):
        shown.pop()
    return shown


def _columns(columns: Mapping[str, FloatBlock], rows: slice) -> dict[str, bytes]:
    return {
        name: column[rows].astype("<f4", copy=False).tobytes() for name, column in columns.items()
    }


def _value(number: np.floating) -> float | None:
    value = float(number)
    return value if math.isfinite(value) else None
