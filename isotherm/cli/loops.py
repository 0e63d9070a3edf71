"""Commands for whoever looks after a cooling loop: steer it for a while, reset it, ask what if."""

from typing import Annotated, Final

import typer

from api.client import ApiClient, Document
from isotherm.cli.output import Columns, Format, show_json, table_of, terminal
from isotherm.cli.people import DEFAULT_API, Actor, Api, Output

loop = typer.Typer(no_args_is_help=True, help="Steer a cooling loop for a while, and reset it.")
explain = typer.Typer(no_args_is_help=True, help="Why something is as it is, and what if.")
console = terminal()

Reason = Annotated[str, typer.Option(help="For the record; without one nothing is taken.")]
Minutes = Annotated[
    float, typer.Option("--minutes", min=0.2, max=1440.0, help="Then the loop is free again.")
]
Loop = Annotated[str, typer.Argument(metavar="LOOP", help="For example h1/loop01.")]
_TRAJECTORY: Final[Columns] = {
    "s": "at_s",
    "SUPPLY °C": "supply_c",
    "RETURN °C": "return_c",
    "JUNCTION °C": "junction_c",
    "LOW": "junction_low_c",
    "HIGH": "junction_high_c",
    "L/MIN": "flow_lpm",
    "DEW MARGIN K": "dew_margin_k",
    "AT LEAST": "dew_margin_low_k",
    "VALVE": "valve_ratio",
    "PUMPS": "pump_ratio",
    "MODE": "mode",
}
_ROWS: Final = 16


@loop.command("set")
def set_point(
    loop_id: Loop,
    supply_c: Annotated[float, typer.Option(help="Supply set-point, °C.")],
    reason: Reason,
    minutes: Minutes = 60.0,
    actor: Actor = "operator",
    api: Api = DEFAULT_API,
) -> None:
    """Give a loop another set-point, which its law goes on to hold."""
    with ApiClient(api) as client:
        taken = client.set_point(
            loop_id,
            supply_c=supply_c,
            version=client.loop(loop_id)["version"],
            reason=reason,
            actor=actor,
            for_s=60.0 * minutes,
        )
    _say(taken)


@loop.command("override")
def override(
    loop_id: Loop,
    reason: Reason,
    valve: Annotated[float | None, typer.Option(help="Valve position, 0..1.")] = None,
    pumps: Annotated[float | None, typer.Option(help="Pump speed, 0..1.")] = None,
    supply_c: Annotated[float | None, typer.Option(help="Supply set-point, °C.")] = None,
    failsafe: Annotated[bool, typer.Option("--failsafe", help="Full cooling.")] = False,
    minutes: Minutes = 15.0,
    actor: Actor = "operator",
    api: Api = DEFAULT_API,
) -> None:
    """Steer valve or pumps by hand; what is not named is left to the law."""
    body: Document = {
        "mode": "failsafe" if failsafe else "manual",
        "valve_ratio": valve,
        "pump_ratio": pumps,
        "supply_c": supply_c,
        "reason": reason,
        "actor": actor,
        "for_s": 60.0 * minutes,
    }
    with ApiClient(api) as client:
        version = client.loop(loop_id)["version"]
        _say(client.override_loop(loop_id, body, version=version))


@loop.command("release")
def release(
    loop_id: Loop, reason: Reason, actor: Actor = "operator", api: Api = DEFAULT_API
) -> None:
    """End an override before its time."""
    with ApiClient(api) as client:
        client.release_loop(loop_id, reason=reason, actor=actor)
    console.print(f"{loop_id} is back with its law")


@loop.command("reset")
def reset(loop_id: Loop, reason: Reason, actor: Actor = "operator", api: Api = DEFAULT_API) -> None:
    """Lift a loop's latched trips, as the person who has looked."""
    with ApiClient(api) as client:
        client.reset_loop(loop_id, reason=reason, actor=actor)
    console.print(f"trips of {loop_id} will be reset")


@explain.command("loop")
def explain_loop(
    loop_id: Loop,
    supply_c: Annotated[float | None, typer.Option(help="Another set-point, °C.")] = None,
    valve: Annotated[float | None, typer.Option(help="The valve by hand, 0..1.")] = None,
    pumps: Annotated[float | None, typer.Option(help="The pumps by hand, 0..1.")] = None,
    pumps_out: Annotated[int, typer.Option(min=0, help="Pumps that stop now.")] = 0,
    load: Annotated[float | None, typer.Option(help="Power over the present one.")] = None,
    facility_c: Annotated[float | None, typer.Option(help="Facility water, °C.")] = None,
    dew_point_c: Annotated[float | None, typer.Option(help="Dew point of the hall, °C.")] = None,
    seconds: Annotated[float, typer.Option(min=10.0, max=1800.0)] = 300.0,
    output: Output = Format.TABLE,
    api: Api = DEFAULT_API,
) -> None:
    """What a loop is doing and why, and what it would do next; the plant is not touched."""
    supposed: Document = {
        "supply_c": supply_c,
        "valve_ratio": valve,
        "pump_ratio": pumps,
        "pumps_out": pumps_out,
        "load_ratio": load,
        "facility_c": facility_c,
        "dew_point_c": dew_point_c,
        "horizon_s": seconds,
    }
    with ApiClient(api) as client:
        now, told = client.loop(loop_id), client.what_if(loop_id, supposed)
    if output is Format.JSON:
        show_json(console, {"now": now, "whatif": told})
        return
    _explain(now, told)


def _explain(now: Document, told: Document) -> None:
    console.print(f"{now['id']} is in {now['mode']}: {now['mode_reason'] or 'all is well'}")
    console.print(f"  law: {now['law'] or 'none of ours'}")
    for trip in now["trips"]:
        console.print(f"  latched: {trip['reason']} ({trip['level']})")
    for sensor, reason in now["sensor_faults"].items():
        console.print(f"  not believed: {sensor}, {reason}")
    console.print(f"expected: {told['effect']}")
    points = told["points"]
    every = max(len(points) // _ROWS, 1)
    console.print(table_of([*points[:-1:every], points[-1]], _TRAJECTORY))


def _say(taken: Document) -> None:
    order = taken["override"]
    asked = ", ".join(
        f"{name} {order[name]:g}"
        for name in ("supply_c", "valve_ratio", "pump_ratio")
        if order[name] is not None
    )
    console.print(f"{taken['id']}: {order['mode']} {asked} until {order['until']}")
