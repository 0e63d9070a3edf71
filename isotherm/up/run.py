"""The two ways to bring a data center up, step by step, and down again."""

import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

import httpx
from rich.console import Console

from api.app import create_app
from api.client import ApiClient
from api.server import ApiServer
from controller.cooling.settings import LAW_VARIABLE
from controller.options import ControllerOptions
from controller.store import Store
from emulator.app_server import AppServer, listen
from emulator.endpoints import EmulatorServer
from emulator.recording.replay import Replay
from emulator.recording.serve import ReplayApp
from emulator.runtime import EmulatorRuntime
from fleet.bus_kafka import KafkaBus
from fleet.clock import Clock
from fleet.errors import IsothermError
from fleet.hall import write_hall
from fleet.kafka_options import read_kafka_options
from isotherm.up.embedded import EmbeddedDatacenter
from isotherm.up.plan import UpPlan
from isotherm.up.ports import free_port, listening
from isotherm.up.processes import Role, RoleProcesses
from isotherm.up.progress import Progress
from isotherm.up.schedule import JobSchedule
from isotherm.up.trust import write_trust

WATCH_S = 0.5
READY_TIMEOUT_S = 60.0


def run_embedded(plan: UpPlan, console: Console, clock: Clock, stop: threading.Event) -> None:
    """All roles in this process, until `stop`."""
    progress = Progress(console, clock)
    with ExitStack() as stack:
        # A taken port is told before anything else is built.
        stack.enter_context(listening(plan.api.host, plan.api.port))
        listener = stack.enter_context(listen(plan.emulator_port))
        with progress.step(f"building the hall: {plan.fleet_map.chips} chips"):
            datacenter = EmbeddedDatacenter(plan.embedded, plan.fleet_map, clock)
            stack.callback(datacenter.close)
        devices = _device_server(datacenter, listener)
        app = create_app(plan.api, plan.fleet_map, datacenter.store, datacenter.bus, clock)
        server = ApiServer(app, plan.api)
        with progress.step("starting emulator, agents and controller"):
            datacenter.start()
            stack.callback(datacenter.stop)
            devices.start()
            stack.callback(devices.stop)
        with progress.step("starting the API"):
            server.start()
            stack.callback(server.stop)
        client = stack.enter_context(closing(ApiClient(server.url)))
        schedule = welcome(plan, client, devices.url, console, clock, stop)
        while not clock.wait(stop, WATCH_S):
            if plan.jobs:
                schedule.follow(datacenter.world.now_s)
        console.print("stopping ...")
        datacenter.emulator.halt()
    if isinstance(datacenter.emulator, EmulatorRuntime):
        datacenter.emulator.exit_if_stuck()


def _device_server(datacenter: EmbeddedDatacenter, listener: socket.socket) -> AppServer:
    if isinstance(datacenter.devices, Replay):
        return AppServer(ReplayApp(datacenter.devices, {}), listener=listener)
    return EmulatorServer(
        datacenter.world,
        datacenter.devices,
        alive=lambda: datacenter.emulator.running,
        listener=listener,
    )


def run_processes(plan: UpPlan, console: Console, clock: Clock, stop: threading.Event) -> None:
    """One process a role on real servers, until `stop` or until one of them ends."""
    progress = Progress(console, clock)
    with progress.step(f"asking Kafka at {plan.kafka}"):
        KafkaBus(read_kafka_options(plan.kafka)).close()
    with progress.step(f"asking the database at {place(plan.database)}"):
        Store(plan.database).close()
    with listening(plan.api.host, plan.api.port):
        pass
    emulator_port = plan.emulator_port or free_port()
    devices = f"http://127.0.0.1:{emulator_port}"
    api = f"http://127.0.0.1:{plan.api.port}"
    roles = RoleProcesses(plan.embedded.state_dir / "logs", clock)
    try:
        for role in roles_of(plan, emulator_port, devices, api):
            with progress.step(f"starting {role.name}"):
                roles.start(role)
        with closing(ApiClient(api)) as client:
            schedule = welcome(plan, client, devices, console, clock, stop)
            while not clock.wait(stop, WATCH_S):
                roles.check()
                if plan.jobs and (now_s := emulated_s(devices)) is not None:
                    schedule.follow(now_s)
        console.print("stopping ...")
    finally:
        roles.stop()


def roles_of(plan: UpPlan, emulator_port: int, devices: str, api: str) -> tuple[Role, ...]:
    state_dir = plan.embedded.state_dir
    fleet = ("--hall", str(write_hall(state_dir / "hall.json", plan.fleet_map.datacenter)))
    kafka = ("--kafka", plan.kafka)
    secrets = {"ISOTHERM_DATABASE": plan.database}
    law = plan.embedded.controller.law
    chosen = {**secrets, LAW_VARIABLE: law.value} if law else secrets
    controller = plan.embedded.controller
    private = controller.delivery.allow_private_receivers
    return (
        Role(
            name="emulator",
            arguments=("emulator", *_world(plan), "--port", str(emulator_port)),
            ready=answers(f"{devices}/livez"),
        ),
        Role(
            name="agents",
            arguments=(
                *("agent", "--devices", devices, *kafka),
                *("--state-dir", str(state_dir / "agent")),
            ),
            ready=lambda: True,
        ),
        Role(
            name="controller",
            arguments=(
                *("controller", *kafka, *fleet, "--supply-c", str(controller.supply_c)),
                *("--external-url", controller.external_url),
                *("--enrolment", str(write_trust(state_dir / "trust"))),
                *(("--allow-private-receivers",) if private else ()),
            ),
            ready=lambda: True,
            secrets={**chosen, **_cooling_environment(controller)},
        ),
        Role(
            name="api",
            arguments=("api", *kafka, *fleet, "--port", str(plan.api.port)),
            ready=answers(f"{api}/livez"),
            secrets=secrets,
        ),
    )


def _world(plan: UpPlan) -> tuple[str, ...]:
    """What stands where the devices are asked."""
    if plan.embedded.replay is not None:
        return ("replay", str(plan.embedded.replay), "--loop")
    emulator = plan.embedded.emulator
    hall = (
        # Its jobs are submitted to the API, whose placement they are for.
        ("--scenario", plan.scenario, "--no-jobs")
        if plan.scenario
        else ("--loops", str(plan.loops), "--ultraservers", str(plan.ultraservers))
    )
    files = {"--trace": emulator.trace, "--weather": emulator.weather}
    return (
        *("serve", *hall, "--seed", str(emulator.seed), "--load", str(emulator.load_ratio)),
        *("--backend", emulator.products.backend, "--device", emulator.products.device),
        *(part for option, file in files.items() if file for part in (option, str(file))),
    )


def emulated_s(devices: str) -> float | None:
    """How long the world has run; None when it does not say just now."""
    try:
        said = httpx.get(f"{devices}/livez", timeout=1.0, trust_env=False)
        return float(said.raise_for_status().json()["emulated_s"])
    except (httpx.HTTPError, ValueError, KeyError):
        return None


def _cooling_environment(controller: ControllerOptions) -> dict[str, str]:
    found = {}
    if controller.decisions_dir is not None:
        found["ISOTHERM_DECISIONS"] = str(controller.decisions_dir)
    if controller.reset_supply:
        found["ISOTHERM_RESET_SUPPLY"] = "1"
    return found


def answers(url: str) -> Callable[[], bool]:
    def asked() -> bool:
        try:
            return httpx.get(url, timeout=1.0, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    return asked


def welcome(
    plan: UpPlan,
    client: ApiClient,
    devices: str,
    console: Console,
    clock: Clock,
    stop: threading.Event,
) -> JobSchedule:
    """Wait for the first telemetry, submit the first jobs, say where everything is."""
    progress = Progress(console, clock)
    with progress.step("waiting for the first telemetry"):
        deadline_s = clock.monotonic_s() + READY_TIMEOUT_S
        while not client.ready():
            if clock.wait(stop, 0.1):
                return JobSchedule(client, ())
            if clock.monotonic_s() > deadline_s:
                logs = plan.embedded.state_dir / "logs"
                raise IsothermError(f"no telemetry within {READY_TIMEOUT_S:.0f} s; {logs} says why")
    schedule = JobSchedule(client, plan.jobs)
    if plan.jobs:
        with progress.step("submitting jobs"):
            schedule.follow(0.0)
    console.print(f"\n  dashboard  [bold]{plan.api.external_url}[/bold]")
    console.print(f"  devices    {devices}")
    console.print("  Ctrl-C stops everything.\n")
    return schedule


def place(database: str) -> str:
    """Where a database is, without the password that its address may carry."""
    parts = urlsplit(database)
    return f"{parts.hostname or ''}{parts.path}"
