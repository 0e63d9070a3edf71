import fcntl
import os
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog
import typer

from agent.build import cdu_agent, sled_agent
from agent.flags import flags_of
from agent.inputs.devices import SledDevices
from agent.inputs.ecc import EccSemantics
from agent.inputs.lines import CommandLines, FileLines, HttpLines
from agent.inputs.neuron_sysfs import ROOT as SYSFS
from agent.late_bus import LateBus
from agent.options import AgentOptions
from agent.places import agents_of, cdu_devices, loop_of_cdu, read_device_list
from agent.report import frame_document
from agent.runtime import Agent, AgentRuntime
from agent.transport import HttpTransport, NoTransport
from fleet.bus_kafka import KafkaBus
from fleet.clock import Clock, SystemClock
from fleet.errors import ConfigurationError, IsothermError
from fleet.kafka_admin import Role, topics_of
from fleet.kafka_options import read_kafka_options

_ONCE_WAIT_S: Final = 1.5

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Where:
    """What the flags name: one sled, one CDU, or a list of devices."""

    sled: Annotated[str | None, typer.Option(help="Id of the sled beside this agent.")] = None
    cdu: Annotated[str | None, typer.Option(help="Id of the CDU beside this agent.")] = None
    devices: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Host an agent for every device listed at URL/devices."),
    ] = None
    loop: Annotated[str | None, typer.Option(help="Id of the cooling loop.")] = None
    neuron_monitor: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="neuron-monitor and its arguments.")
    ] = None
    neuron_monitor_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A recorded neuron-monitor stream.")
    ] = None
    neuron_monitor_url: Annotated[
        str | None, typer.Option(metavar="URL", help="A neuron-monitor stream over HTTP.")
    ] = None
    neuron_sysfs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help=f"The Neuron driver's devices, on a host {SYSFS}."),
    ] = None
    redfish: Annotated[
        str | None, typer.Option(metavar="URL", help="The BMC of the sled or CDU.")
    ] = None
    modbus: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="A CDU that speaks Modbus/TCP in the ORV3 map."),
    ] = None
    runtime: Annotated[
        str | None, typer.Option(metavar="URL", help="The job runtime of the sled, if any.")
    ] = None
    chips: Annotated[int, typer.Option(min=1, max=64, help="Chips of a sled.")] = 4
    pumps: Annotated[int, typer.Option(min=1, max=16, help="Pumps of a CDU.")] = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    """What the flags say of the process itself."""

    kafka: Annotated[str | None, typer.Option(metavar="HOST:PORT[,...]", help="The brokers.")] = (
        None
    )
    state_dir: Annotated[
        Path | None, typer.Option(help="Where epoch, term, guard and spool are kept.")
    ] = None
    period: Annotated[float, typer.Option(help="Seconds between frames.")] = 1.0
    ecc: Annotated[EccSemantics, typer.Option(help="What ECC counts of neuron-monitor mean.")] = (
        EccSemantics.AUTO
    )
    sync_s: Annotated[
        float,
        typer.Option(help="Seconds between syncs of the spool: a power cut takes no more."),
    ] = 1.0
    catch_up_ratio: Annotated[
        float, typer.Option(help="Messages of a backlog that are sent for each new one.")
    ] = 9.0
    once: Annotated[
        bool, typer.Option("--once", help="Print one collected frame as JSON and end; no bus.")
    ] = False


@app.command()
@flags_of(_Where, _How)
def agent(where: _Where, how: _How) -> None:
    """Read the devices of a sled or CDU, publish what they say, and carry out commands."""
    _log_to_stderr()
    try:
        with ExitStack() as stack:
            options = AgentOptions(
                state_dir=_state_dir(stack, how.state_dir, once=how.once),
                period_s=how.period,
                ecc_semantics=how.ecc,
                readers=4 if where.devices else 1,
                sync_s=how.sync_s,
                catch_up_ratio=how.catch_up_ratio,
            )
            options.validate()
            if how.once:
                _print_once(where, options)
            else:
                _serve(where, options, how.kafka)
    except IsothermError as error:
        typer.echo(f"isotherm-agent: {error}", err=True)
        raise typer.Exit(2) from None


def _serve(where: _Where, options: AgentOptions, kafka: str | None) -> None:
    if kafka is None:
        raise ConfigurationError("--kafka HOST:PORT is missing")
    kafka_options = read_kafka_options(kafka, connect_timeout_s=3.0, fetch_wait_s=5.0)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    clock = SystemClock()
    agents = _agents(where, options, clock)
    bus = LateBus(
        lambda: KafkaBus(kafka_options, topics_of(Role.AGENT)),
        lambda topic: topic.spread(kafka_options.partitions),
    )
    runtime = AgentRuntime(options, agents, bus, clock)
    runtime.start()
    structlog.get_logger().info("agent runs", agents=len(agents), kafka=kafka)
    # A wait without an end would leave signals unheard on some platforms.
    while not stop.wait(0.5):
        pass
    runtime.stop()
    bus.close()


def _print_once(where: _Where, options: AgentOptions) -> None:
    clock = SystemClock()
    agents = _agents(where, options, clock)
    if not where.cdu and where.neuron_monitor_file is None:
        clock.wait(threading.Event(), _ONCE_WAIT_S)  # a stream's first report takes a second
    for one in agents:
        frame = one.look()
        typer.echo(msgspec.json.encode(frame_document(one.schema, frame)).decode())
        one.close()


def _agents(where: _Where, options: AgentOptions, clock: Clock) -> list[Agent]:
    named = [name for name in (where.sled, where.cdu, where.devices) if name]
    if len(named) != 1:
        raise ConfigurationError("name exactly one of --sled, --cdu and --devices")
    if where.devices:
        found = read_device_list(where.devices, where.loop)
        return agents_of(found, options, clock, chips=where.chips, pumps=where.pumps)
    if where.redfish is None and not (where.cdu and where.modbus):
        raise ConfigurationError("--redfish URL is missing; a CDU may have --modbus instead")
    return [_sled(where, options, clock) if where.sled else _cdu(where, options, clock)]


def _sled(where: _Where, options: AgentOptions, clock: Clock) -> Agent:
    if where.loop is None:
        raise ConfigurationError("a sled needs --loop ID")
    bmc = HttpTransport(where.redfish or "")
    runtime = HttpTransport(where.runtime) if where.runtime else NoTransport("job runtime")
    lines = _lines(where)
    devices = SledDevices(
        lines=lines,
        bmc=bmc,
        runtime=runtime,
        sysfs=_folder(where.neuron_sysfs),
        chips=where.chips,
        ecc_semantics=options.ecc_semantics,
    )
    return sled_agent(
        options, where.sled or "", where.loop, devices, clock, closing=(lines, bmc, runtime)
    )


def _folder(sysfs: Path | None) -> Path | None:
    if sysfs is not None and not sysfs.is_dir():
        raise ConfigurationError(f"--neuron-sysfs {sysfs} is no directory")
    return sysfs


def _cdu(where: _Where, options: AgentOptions, clock: Clock) -> Agent:
    cdu_id = where.cdu or ""
    devices, closing = cdu_devices(where.redfish or "", where.modbus or "", where.pumps)
    loop_id = where.loop or loop_of_cdu(cdu_id)
    return cdu_agent(options, cdu_id, loop_id, devices, clock, closing=(closing,))


def _lines(where: _Where) -> CommandLines | FileLines | HttpLines:
    given = (where.neuron_monitor, where.neuron_monitor_file, where.neuron_monitor_url)
    if sum(value is not None for value in given) != 1:
        raise ConfigurationError(
            "name exactly one of --neuron-monitor, --neuron-monitor-file, --neuron-monitor-url"
        )
    if where.neuron_monitor_file is not None:
        return FileLines(where.neuron_monitor_file)
    if where.neuron_monitor_url is not None:
        return HttpLines(where.neuron_monitor_url)
    try:
        return CommandLines(shlex.split(where.neuron_monitor or ""))
    except ValueError as error:
        raise ConfigurationError(f"--neuron-monitor: {error}") from error


def _state_dir(stack: ExitStack, wanted: Path | None, *, once: bool) -> Path:
    if once:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="isotherm-agent-")))
    if wanted is None:
        raise ConfigurationError("--state-dir DIR is missing")
    stack.enter_context(_held(wanted))
    return wanted


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    """Two processes with one state would number their frames alike; so only one may hold it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ConfigurationError(f"--state-dir {directory}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ConfigurationError(f"--state-dir {directory}: another agent uses it") from error
    finally:
        os.close(lock)


def _log_to_stderr() -> None:
    # Standard output is for `--once`.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def main() -> None:
    app()


if __name__ == "__main__":
    main()
