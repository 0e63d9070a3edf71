"""`isotherm-emulator`: an emulated hall whose devices speak as real ones do."""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import httpx
import msgspec
import structlog
import typer

from emulator.app_server import DEFAULT_PORT, listen
from emulator.devices.catalogue import Devices
from emulator.devices.monitor_config import read_plan
from emulator.devices.neuron_sysfs import SysfsLayout
from emulator.devices.over_modbus import ModbusServer
from emulator.endpoints import EmulatorServer
from emulator.options import EmulatorOptions
from emulator.recording.adopt import adopt
from emulator.recording.replay import Replay
from emulator.recording.serve import serve_replay
from emulator.runtime import EmulatorRuntime
from emulator.scenario.course import options_of, played_runtime
from emulator.scenario.library import find_scenario
from emulator.scenario.read import read_scenario
from emulator.sysfs_tree import SysfsTree
from emulator.workload import ProductOptions
from emulator.workload.backend import BackendName, DeviceName
from fleet.clock import Clock, SystemClock
from fleet.errors import ConfigurationError, IsothermError
from fleet.topology import FleetMap, Generation, trn3_datacenter

_log = structlog.get_logger("emulator")
app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="An emulated hall of Trn3 UltraServers whose devices speak as real ones do.",
)


@app.command("serve")
def serve_command(  # noqa: PLR0913, PLR0917 - the options of a command
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Loopback port; 0 takes a free one.")
    ] = DEFAULT_PORT,
    trace: Annotated[
        Path | None,
        typer.Option(help="Requests: a CSV in the form of Azure LLM 2023, plain or .gz."),
    ] = None,
    weather: Annotated[
        Path | None, typer.Option(help="Outdoor air: EPW or CSV. None: a generated year.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Same seed, same hall. None: the scenario's own, or 0.")
    ] = None,
    load: Annotated[
        float, typer.Option(help="Arrivals over the capacity of running replicas, 0 to 2.")
    ] = EmulatorOptions().load_ratio,
    ultraservers: Annotated[int, typer.Option(min=1, help="UltraServers on each loop.")] = 2,
    loops: Annotated[int, typer.Option(min=1, help="Cooling loops of the hall.")] = 1,
    backend: Annotated[
        BackendName, typer.Option(help="What multiplies; torch is an optional extra.")
    ] = BackendName.NUMPY,
    device: Annotated[DeviceName, typer.Option(help="Of torch.")] = DeviceName.CPU,
    scenario: Annotated[
        str | None,
        typer.Option(help="Its hall, load, jobs and faults; a name of the library, or a file."),
    ] = None,
    jobs: Annotated[
        bool, typer.Option(help="Run the scenario's jobs; else they are left to a controller.")
    ] = True,
) -> None:
    """Step a hall and answer for its devices, until SIGTERM or Ctrl-C."""
    options = EmulatorOptions(
        seed=seed or 0,
        trace=trace,
        weather=weather,
        load_ratio=load,
        products=ProductOptions(backend=backend, device=device),
    )
    try:
        options.validate()
        serve(
            _hall(options, loops=loops, ultraservers=ultraservers)
            if scenario is None
            else _played(options, scenario, seed, jobs=jobs),
            port=port,
            stop=_stop_on_signal(),
        )
    except ConfigurationError as error:
        typer.echo(f"isotherm-emulator: {error}", err=True)
        raise typer.Exit(2) from None
    except IsothermError as error:
        typer.echo(f"isotherm-emulator: {error}", err=True)
        raise typer.Exit(1) from None


def _stop_on_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _hall(
    options: EmulatorOptions, *, loops: int, ultraservers: int
) -> Callable[[Clock], EmulatorRuntime]:
    fleet_map = FleetMap(trn3_datacenter(loops=loops, ultraservers=ultraservers))
    return partial(EmulatorRuntime, options, fleet_map)


def _played(
    options: EmulatorOptions, scenario: str, seed: int | None, *, jobs: bool
) -> Callable[[Clock], EmulatorRuntime]:
    """ConfigurationError, with file and line, for a scenario that can not be read."""
    planned = read_scenario(find_scenario(scenario))
    seeded = replace(options, seed=planned.seed if seed is None else seed)
    own = options_of(planned, seeded)
    return lambda clock: played_runtime(planned, own, clock, places_jobs=jobs)


def serve(build: Callable[[Clock], EmulatorRuntime], *, port: int, stop: threading.Event) -> None:
    """Step a world and answer for its devices until `stop` is set."""
    clock = SystemClock()
    with listen(port) as listener:  # first, because a taken port is known at once
        _log.info("building the hall")
        runtime = build(clock)
        devices = Devices(runtime.world, clock)
        modbus = ModbusServer(devices.modbus)
        modbus.start()
        server = EmulatorServer(
            runtime.world,
            devices,
            alive=lambda: runtime.running,
            listener=listener,
            modbus=modbus.addresses,
        )
        runtime.start()
        try:
            server.start()
            fleet_map = runtime.world.fleet_map
            _log.info(
                "the hall runs",
                url=server.url,
                devices=f"{server.url}/devices",
                chips=fleet_map.chips,
                sleds=fleet_map.sleds,
            )
            stop.wait()
        finally:
            _log.info("stopping")
            runtime.halt()
            server.stop()
            modbus.stop()
            runtime.stop()
    runtime.exit_if_stuck()


@app.command()
def replay(
    directory: Annotated[Path, typer.Argument(help="A recording: the folder of its manifest.")],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Loopback port; 0 takes a free one.")
    ] = DEFAULT_PORT,
    speed: Annotated[float, typer.Option(help="Over the pace of the recording.")] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", help="Begin anew at the end.")] = False,
) -> None:
    """Answer for the devices of a recording, with the bytes that they said."""
    try:
        if not 0.0 < speed <= 1e6:
            raise ConfigurationError(f"--speed {speed:g} is not above 0 and up to 1e6")
        recording = Replay(directory)
        with listen(port) as listener:
            serve_replay(
                recording,
                SystemClock(),
                listener=listener,
                stop=_stop_on_signal(),
                speed_factor=speed,
                loop=loop,
            )
    except IsothermError as error:
        typer.echo(f"isotherm-emulator: {error}", err=True)
        raise typer.Exit(2 if isinstance(error, ConfigurationError) else 1) from None


@app.command("adopt")
def adopt_command(
    streams: Annotated[
        list[Path], typer.Argument(help="What a host's neuron-monitor printed, plain or .gz.")
    ],
    into: Annotated[Path, typer.Option(help="Folder of the recording; it is made.")],
    step_s: Annotated[
        float | None, typer.Option(help="Between two lines. None: their shortest period.")
    ] = None,
    generation: Annotated[
        Generation | None, typer.Option(help="None: by the device type in the first line.")
    ] = None,
) -> None:
    """Make a recording of streams that real neuron-monitors printed, one file a host."""
    try:
        made = adopt(streams, into, step_s=step_s, generation=generation)
    except ConfigurationError as error:
        typer.echo(f"isotherm-emulator: {error}", err=True)
        raise typer.Exit(2) from None
    for sled_id, path in zip(made.devices, streams, strict=True):
        typer.echo(f"{sled_id}  {path}")
    typer.echo("neuron-monitor alone: no BMC and no CDU, so no coolant and no sled power")
    typer.echo(f"{made.ticks} steps; isotherm emulator replay {into}")


@app.command("neuron-monitor")
def neuron_monitor(
    url: Annotated[str, typer.Option(help="http://127.0.0.1:PORT/devices/SLED/neuron-monitor")],
    config_file: Annotated[
        Path | None,
        typer.Option("-c", "--config-file", help="The tool's JSON; none: what agents ask for."),
    ] = None,
    reports: Annotated[int, typer.Option(min=0, help="End after so many; 0: never.")] = 0,
) -> None:
    """Print a sled's reports, one JSON object a line, as the real `neuron-monitor` does."""
    try:
        _print_lines(url, _config_text(config_file), reports)
    except ConfigurationError as error:
        typer.echo(f"isotherm-emulator: {error}", err=True)
        raise typer.Exit(2) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        typer.echo(f"isotherm-emulator: {url} does not answer: {reason}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command("neuron-ls")
def neuron_ls(
    url: Annotated[str, typer.Option(help="http://127.0.0.1:PORT/devices/SLED/neuron-ls")],
) -> None:
    """Print a sled's devices as JSON, as the real `neuron-ls -j` does."""
    typer.echo(_asked(url).decode())


@app.command()
def sysfs(
    directory: Annotated[Path, typer.Argument(help="Where the tree is kept up to date.")],
    url: Annotated[str, typer.Option(help="http://127.0.0.1:PORT/devices/SLED/sysfs")],
    layout: Annotated[
        SysfsLayout, typer.Option(help="Before driver 2.31, or since (unconfirmed).")
    ] = SysfsLayout.OLD,
    once: Annotated[bool, typer.Option("--once", help="Write it once and end.")] = False,
) -> None:
    """Keep a sled's sysfs tree as files, until SIGTERM or Ctrl-C."""
    stop, tree = _stop_on_signal(), SysfsTree(directory)
    try:
        while True:
            tree.write(msgspec.json.decode(_asked(f"{url}?layout={layout}"), type=dict[str, str]))
            if once or stop.wait(1.0):
                return
    except IsothermError as error:
        typer.echo(f"isotherm-emulator: {error}", err=True)
        raise typer.Exit(2) from None


@app.command("kernel-log")
def kernel_log(
    url: Annotated[str, typer.Option(help="http://127.0.0.1:PORT/devices/SLED/kernel-log")],
    append: Annotated[
        Path | None, typer.Option(help="File that new lines go to, until SIGTERM or Ctrl-C.")
    ] = None,
) -> None:
    """Print what the Neuron driver wrote into a sled's kernel log, or append it to a file."""
    if append is None:
        typer.echo(_asked(url), nl=False)
        return
    stop, told = _stop_on_signal(), list[bytes]()
    try:
        while True:
            lines = _asked(url).splitlines(keepends=True)
            with append.open("ab") as log:
                log.writelines(unseen(told, lines))
            told = lines
            if stop.wait(1.0):
                return
    except OSError as error:
        typer.echo(f"isotherm-emulator: {append}: {error.strerror}", err=True)
        raise typer.Exit(2) from None


def unseen(told: Sequence[bytes], lines: Sequence[bytes]) -> Sequence[bytes]:
    """What has come since `told`, of which the oldest may have left a log that holds so many."""
    for gone in range(len(told)):
        kept = told[gone:]
        if list(lines[: len(kept)]) == list(kept):
            return lines[len(kept) :]
    return lines


def _asked(url: str) -> bytes:
    try:
        answer = httpx.get(url, timeout=5.0, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        typer.echo(f"isotherm-emulator: {url} does not answer: {reason}", err=True)
        raise typer.Exit(1) from None
    if answer.status_code != httpx.codes.OK:
        typer.echo(f"isotherm-emulator: {url}: HTTP {answer.status_code}", err=True)
        raise typer.Exit(1)
    return answer.content


def _config_text(config_file: Path | None) -> bytes | None:
    """Read here, so that what is wrong with it is said before anything is asked."""
    if config_file is None:
        return None
    try:
        text = config_file.read_bytes()
        read_plan(text)
    except OSError as error:
        raise ConfigurationError(f"{config_file}: {error.strerror}") from error
    except ConfigurationError as error:
        raise ConfigurationError(f"{config_file}: {error}") from error
    return text


def _print_lines(url: str, config: bytes | None, reports: int) -> None:
    timeout = httpx.Timeout(5.0, read=None)
    method = "GET" if config is None else "POST"
    with httpx.stream(method, url, content=config, timeout=timeout, trust_env=False) as response:
        if response.status_code != httpx.codes.OK:
            typer.echo(f"isotherm-emulator: {url}: HTTP {response.status_code}", err=True)
            raise typer.Exit(1)
        for printed, line in enumerate(response.iter_lines(), start=1):
            typer.echo(line)
            if printed == reports:
                return
    typer.echo(f"isotherm-emulator: {url} has ended", err=True)
    raise typer.Exit(1)


def main() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    app()


if __name__ == "__main__":
    main()
