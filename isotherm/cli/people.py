"""Commands for people: they speak to the API and nothing else."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import typer
from rich.console import Group
from rich.live import Live

from api.client import ApiClient, Document
from fleet.clock import SystemClock
from isotherm.cli.output import (
    Columns,
    Format,
    every_field,
    pick,
    show,
    show_json,
    table_of,
    terminal,
)

DEFAULT_API: Final = "http://127.0.0.1:8080"

app = typer.Typer(no_args_is_help=True)
webhook = typer.Typer(no_args_is_help=True, help="Webhooks that are told of incidents.")
app.add_typer(webhook, name="webhook")
console = terminal()

Api = Annotated[str, typer.Option("--api", envvar="ISOTHERM_API", help="Address of the API.")]
Actor = Annotated[str, typer.Option(envvar="USER", help="Who says so, for the record.")]
Output = Annotated[Format, typer.Option("-o", "--output", help="table or json")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """How the API is asked for a kind of thing, and what of it a table shows."""

    every: Callable[[ApiClient], list[Document]]
    one: Callable[[ApiClient, str], Document]
    columns: Columns


RESOURCES: Final[Mapping[str, Resource]] = {
    "loops": Resource(
        every=ApiClient.loops,
        one=ApiClient.loop,
        columns={
            "LOOP": "id",
            "MODE": "mode",
            "SET °C": "setpoints.supply_c",
            "SUPPLY °C": "cdu.supply_c",
            "RETURN °C": "cdu.return_c",
            "L/MIN": "cdu.secondary_flow_lpm",
            "VALVE": "cdu.valve_ratio",
            "HEAT W": "cdu.heat_removed_w",
            "AGE s": "cdu_age_s",
            "WHY": "mode_reason",
        },
    ),
    "sleds": Resource(
        every=ApiClient.sleds,
        one=ApiClient.sled,
        columns={
            "SLED": "id",
            "POWER W": "values.sled_power_w",
            "IN °C": "values.inlet_c",
            "OUT °C": "values.outlet_c",
            "L/MIN": "values.coolant_flow_lpm",
            "AGE s": "age_s",
            "SERIAL": "identity.serial",
            "FIRMWARE": "identity.firmware.nitro",
            "ENROLMENT": "identity.state",
            "CORDON": "cordon.reason",
        },
    ),
    "chips": Resource(
        every=ApiClient.chips,
        one=ApiClient.chip,
        columns={
            "CHIP": "id",
            "JUNCTION °C": "values.junction_c",
            "POWER W": "values.power_w",
            "CORES": "values.neuroncore_utilization_ratio",
            "HBM": "values.hbm_utilization_ratio",
            "JOB": "job_id",
            "AGE s": "age_s",
        },
    ),
    "jobs": Resource(
        every=ApiClient.jobs,
        one=ApiClient.job,
        columns={
            "JOB": "id",
            "NAME": "name",
            "MODEL": "model",
            "CHIPS": "chips",
            "STATE": "state",
            "ATTEMPT": "attempt",
            "WHY IT WAITS": "reasons",
        },
    ),
    "incidents": Resource(
        every=ApiClient.incidents,
        one=ApiClient.incident,
        columns={
            "INCIDENT": "id",
            "SEVERITY": "severity",
            "STATE": "state",
            "WHAT": "title",
            "OPENED": "opened_at",
            "SEEN BY": "acknowledged_by",
        },
    ),
}
TOTALS: Final[Columns] = {
    "POWER W": "power_w",
    "REMOVED W": "heat_removed_w",
    "HOTTEST °C": "max_junction_c",
    "BUSY": "chips_busy",
    "REPORTING": "chips_reporting",
    "RUNNING": "jobs_running",
    "WAITING": "jobs_pending",
    "INCIDENTS": "incidents_open",
}
SINGULAR: Final = {name.removesuffix("s"): name for name in RESOURCES}


def resource(kind: str) -> Resource:
    known = RESOURCES.get(SINGULAR.get(kind, kind))
    if known is None:
        raise typer.BadParameter(f"{kind!r} is none of fleet, {', '.join(RESOURCES)}")
    return known


@app.command()
def get(
    kind: Annotated[str, typer.Argument(help="fleet, loops, sleds, chips, jobs or incidents")],
    wanted: Annotated[str, typer.Argument(metavar="[ID]")] = "",
    output: Output = Format.TABLE,
    api: Api = DEFAULT_API,
) -> None:
    """List things of a kind, or show one."""
    with ApiClient(api) as client:
        if kind == "fleet":
            show_json(console, client.fleet())
            return
        asked = resource(kind)
        items = [asked.one(client, wanted)] if wanted else asked.every(client)
    show(console, items, asked.columns, output)


@app.command()
def describe(
    kind: str, wanted: Annotated[str, typer.Argument(metavar="ID")], api: Api = DEFAULT_API
) -> None:
    """Everything that is known of one thing."""
    with ApiClient(api) as client:
        show_json(console, resource(kind).one(client, wanted))


@app.command()
def top(
    api: Api = DEFAULT_API,
    once: Annotated[bool, typer.Option("--once", help="Print one picture and end.")] = False,
    chips: Annotated[int, typer.Option(min=1, max=100, help="How many of the hottest.")] = 12,
) -> None:
    """The fleet at a glance, refreshed each second."""
    with ApiClient(api) as client:
        if once:
            console.print(picture(client, chips))
            return
        clock, never = SystemClock(), threading.Event()
        with Live(picture(client, chips), console=console, auto_refresh=False) as live:
            while not clock.wait(never, 1.0):
                live.update(picture(client, chips), refresh=True)


def picture(client: ApiClient, chips: int) -> Group:
    totals = client.fleet()["totals"]
    hottest = sorted(client.chips(), key=lambda chip: -(pick(chip, "values.junction_c") or -274))
    return Group(
        table_of([totals], TOTALS),
        "",
        table_of(client.loops(), RESOURCES["loops"].columns),
        "",
        table_of(hottest[:chips], RESOURCES["chips"].columns),
    )


@app.command()
def submit(
    name: Annotated[str, typer.Option()],
    model: Annotated[str, typer.Option(help="For example llama-3-70b.")],
    chips: Annotated[int, typer.Option(min=1, help="Of one UltraServer, all or nothing.")],
    tensor_parallel: Annotated[int, typer.Option(min=1)] = 1,
    priority: Annotated[int, typer.Option(help="Higher goes first.")] = 0,
    output: Output = Format.TABLE,
    api: Api = DEFAULT_API,
) -> None:
    """Ask for a gang of chips that serves a model."""
    with ApiClient(api) as client:
        job = client.submit(
            name=name,
            model=model,
            chips=chips,
            tensor_parallel=tensor_parallel,
            priority=priority,
        )
    show(console, [job], RESOURCES["jobs"].columns, output)


@app.command()
def cancel(job: str, api: Api = DEFAULT_API) -> None:
    """Stop a job for good."""
    with ApiClient(api) as client:
        client.cancel(job)
    console.print(f"job {job} will stop")


@app.command()
def ack(
    incident: str,
    comment: Annotated[str, typer.Option()] = "",
    actor: Actor = "operator",
    api: Api = DEFAULT_API,
) -> None:
    """Say that a person has seen an incident."""
    with ApiClient(api) as client:
        client.acknowledge(incident, actor=actor, comment=comment)
    console.print(f"incident {incident} acknowledged by {actor}")


@app.command()
def cordon(
    sled: str,
    reason: Annotated[str, typer.Option()],
    actor: Actor = "operator",
    api: Api = DEFAULT_API,
) -> None:
    """Keep new jobs off a sled."""
    with ApiClient(api) as client:
        client.cordon(sled, reason=reason, actor=actor)
    console.print(f"sled {sled} cordoned")


@app.command()
def uncordon(sled: str, actor: Actor = "operator", api: Api = DEFAULT_API) -> None:
    """Let jobs onto a sled again."""
    with ApiClient(api) as client:
        client.uncordon(sled, actor=actor)
    console.print(f"sled {sled} uncordoned")


@app.command()
def enrol(
    sled: str,
    reason: Annotated[str, typer.Option()],
    actor: Actor = "operator",
    api: Api = DEFAULT_API,
) -> None:
    """Approve what stands in a sled's place, after it was replaced or updated."""
    with ApiClient(api) as client:
        enrolled = client.enrol(sled, reason=reason, actor=actor)
    serial = pick(enrolled, "identity.serial")
    cordon = pick(enrolled, "cordon.reason")
    console.print(f"sled {sled} is enrolled with serial {serial}, by {actor}")
    if cordon is not None:
        console.print(f"it stays cordoned: {cordon}")


@app.command("reset-guard")
def reset_guard(
    sled: str,
    reason: Annotated[str, typer.Option()],
    actor: Actor = "operator",
    api: Api = DEFAULT_API,
) -> None:
    """Lift what a sled's own guard has latched, and power it on."""
    with ApiClient(api) as client:
        client.reset_guard(sled, reason=reason, actor=actor)
    console.print(f"the guard of {sled} is asked to let go")


@webhook.command("add")
def add_webhook(url: str, name: Annotated[str, typer.Option()], api: Api = DEFAULT_API) -> None:
    """Register a receiver; the secret is shown this once."""
    with ApiClient(api) as client:
        show_json(console, client.add_webhook(name=name, url=url))


@webhook.command("list")
def list_webhooks(output: Output = Format.TABLE, api: Api = DEFAULT_API) -> None:
    """Who is told."""
    with ApiClient(api) as client:
        items = client.webhooks()
    show(console, items, every_field(items), output)


@webhook.command("deliveries")
def deliveries(
    wanted: Annotated[str, typer.Argument(metavar="ID")],
    output: Output = Format.TABLE,
    api: Api = DEFAULT_API,
) -> None:
    """What was sent to a receiver, and what came of it."""
    with ApiClient(api) as client:
        items = client.deliveries(wanted)
    show(console, items, every_field(items), output)


@webhook.command("remove")
def remove_webhook(
    wanted: Annotated[str, typer.Argument(metavar="ID")], api: Api = DEFAULT_API
) -> None:
    """Forget a receiver."""
    with ApiClient(api) as client:
        client.remove_webhook(wanted)
    console.print(f"webhook {wanted} removed")
