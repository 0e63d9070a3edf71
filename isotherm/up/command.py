"""`isotherm up`: a whole data center, in one process or on real servers."""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from api.options import ApiOptions
from controller.cooling.settings import LAW_VARIABLE, LawName
from controller.notify.deliver import DeliverySettings
from controller.options import ControllerOptions
from controller.remote_write.settings import read_remote_write
from emulator.app_server import DEFAULT_PORT
from emulator.options import EmulatorOptions
from emulator.recording.replay import Replay
from emulator.scenario.course import options_of
from emulator.scenario.library import find_scenario
from emulator.scenario.read import read_scenario
from emulator.scenario.scenario import Scenario
from emulator.workload import ProductOptions
from emulator.workload.backend import BackendName, DeviceName
from fleet.clock import SystemClock
from fleet.errors import ConfigurationError
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.logs import log_to
from isotherm.up.demo import DEMO_JOBS
from isotherm.up.embedded import EmbeddedOptions
from isotherm.up.plan import UpPlan
from isotherm.up.played import jobs_of
from isotherm.up.run import run_embedded, run_processes

console = Console(stderr=True)


def up(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the dashboard and API.")] = 8080,
    emulator_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the emulated devices; 0 takes a free one.")
    ] = DEFAULT_PORT,
    load: Annotated[
        float, typer.Option(help="Arrivals over what the running replicas can serve, 0 to 2.")
    ] = 0.6,
    trace: Annotated[
        Path | None, typer.Option(help="Requests to replay: Azure LLM 2023 CSV, plain or .gz.")
    ] = None,
    scenario: Annotated[
        str,
        typer.Option(help="Hall, load, faults, jobs: a name of `emulator scenarios`, or a file."),
    ] = "",
    replay: Annotated[
        Path | None, typer.Option(help="A recording, whose devices stand in place of a world's.")
    ] = None,
    weather: Annotated[
        Path | None, typer.Option(help="Outdoor air: EPW or CSV. None: a generated year.")
    ] = None,
    backend: Annotated[
        BackendName, typer.Option(help="What multiplies; torch is an optional extra.")
    ] = BackendName.NUMPY,
    device: Annotated[DeviceName, typer.Option(help="Of torch.")] = DeviceName.CPU,
    ultraservers: Annotated[int, typer.Option(min=1, max=16, help="On each loop.")] = 2,
    loops: Annotated[int, typer.Option(min=1, max=64)] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="None: the scenario's own, or 0.")] = None,
    supply_c: Annotated[float, typer.Option(help="Set-point of the coolant supply.")] = 40.0,
    law: Annotated[
        LawName | None,
        typer.Option(envvar=LAW_VARIABLE, show_envvar=True, help="What moves the cooling loops."),
    ] = None,
    reset_supply: Annotated[
        bool, typer.Option(help="Let the set-point move to what is cheapest within its margins.")
    ] = False,
    decisions: Annotated[
        Path | None, typer.Option(help="Keep cooling decisions here, for `isotherm replay`.")
    ] = None,
    state_dir: Annotated[
        Path, typer.Option(help="Database, spools and logs; kept between runs.")
    ] = Path("var"),
    jobs: Annotated[
        bool, typer.Option(help="Submit a set of jobs when there are none at all.")
    ] = True,
    kafka: Annotated[
        str, typer.Option(help="HOST:PORT of brokers; then one process a role, with --database.")
    ] = "",
    database: Annotated[str, typer.Option(help="postgresql://USER:PASSWORD@HOST:PORT/NAME")] = "",
    allow_private_receivers: Annotated[
        bool, typer.Option(help="Let webhooks go to addresses of the own network.")
    ] = False,
) -> None:
    """Start emulator, agents, controller, API and dashboard; Ctrl-C stops all."""
    if bool(kafka) != bool(database):
        raise ConfigurationError("--kafka and --database belong together: give both or neither")
    played = read_scenario(find_scenario(scenario)) if scenario else None
    world = EmulatorOptions(
        seed=seed if seed is not None else played.seed if played else 0,
        trace=trace,
        weather=weather,
        load_ratio=load,
        products=ProductOptions(backend=backend, device=device),
    )
    first_jobs = jobs_of(played) if played else DEMO_JOBS
    plan = UpPlan(
        fleet_map=_hall(played, replay, loops=loops, ultraservers=ultraservers),
        loops=loops,
        ultraservers=ultraservers,
        embedded=EmbeddedOptions(
            state_dir=state_dir,
            emulator=options_of(played, world) if played else world,
            scenario=played,
            replay=replay,
            controller=ControllerOptions(
                supply_c=supply_c,
                law=law,
                reset_supply=reset_supply,
                decisions_dir=decisions,
                external_url=f"http://127.0.0.1:{port}",
                delivery=DeliverySettings(allow_private_receivers=allow_private_receivers),
                remote_write=read_remote_write(),
            ),
            seed=world.seed,
        ),
        api=ApiOptions(port=port, external_url=f"http://127.0.0.1:{port}"),
        emulator_port=emulator_port,
        kafka=kafka,
        database=database,
        scenario=scenario,
        jobs=first_jobs if jobs and replay is None else (),
    )
    plan.validate()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    clock = SystemClock()
    if kafka:
        run_processes(plan, console, clock, stop)
        return
    with log_to(state_dir / "logs" / "isotherm.log"):
        run_embedded(plan, console, clock, stop)


def _hall(
    played: Scenario | None, replay: Path | None, *, loops: int, ultraservers: int
) -> FleetMap:
    if replay is not None:
        recording = Replay(replay)
        recording.close()
        return recording.fleet_map
    if played is not None:
        return FleetMap(played.datacenter)
    return FleetMap(trn3_datacenter(loops=loops, ultraservers=ultraservers))
