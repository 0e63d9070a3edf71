import re

from emulator.__main__ import unseen
from emulator.devices.catalogue import Devices
from emulator.hbm.status import NrtStatus
from emulator.readings import FailedExecution
from fleet.clock import ManualClock
from tests.emulator.devices.builders import HandHall

SLED = "h1/us01/r2/s07"
# The rule of the EKS node monitoring agent, and the fields of the example in AWS' guide.
RULE = re.compile(r".* NEURON_HW_ERR=(\w+) .*")
FIELDS = ["instance-id", "hostname", "nd-id", "nc-id", "serial-num", "action"]


def log_of(*errors: FailedExecution) -> tuple[Devices, list[str]]:
    hall = HandHall()
    hall.change_sled(hardware_errors=errors)
    devices = Devices(hall, ManualClock())
    answer = devices.sled_host(SLED).handle("GET", "/kernel-log")
    assert answer.status == 200
    return devices, answer.body.decode().splitlines()


def failed(status: NrtStatus, chip: int = 0) -> FailedExecution:
    return FailedExecution(at_unix_ns=1_760_000_000_000_250_000, chip=chip, status=status)


def test_a_line_has_the_documented_fields() -> None:
    devices, [line] = log_of(failed(NrtStatus.SRAM_UNCORRECTED, chip=2))
    assert line.startswith("2025-10-09T08:53:20,000250+00:00 neuron: ")
    found = RULE.fullmatch(line)
    assert found is not None
    assert found[1] == "SRAM_UNCORRECTABLE_ERROR"
    fields = dict(word.split("=") for word in line.split()[3:])
    assert list(fields) == FIELDS
    assert (fields["nd-id"], fields["action"]) == ("2", "TERMINATE_INSTANCE")
    serial = devices.sled_host(SLED).handle("GET", "/sysfs/neuron2/info/serial_number").body
    assert fields["serial-num"] == serial.decode().strip()


def test_what_the_driver_can_repair_calls_for_no_replacement() -> None:
    _, lines = log_of(
        failed(NrtStatus.HBM_REPAIRABLE),
        failed(NrtStatus.HBM_UNCORRECTED),
        failed(NrtStatus.HBM_REPAIRABLE),
    )
    assert [RULE.sub(r"\1", line) for line in lines] == ["HBM_UNCORRECTABLE_ERROR"]


def test_a_healthy_sled_has_an_empty_log() -> None:
    assert log_of()[1] == []


def test_only_new_lines_are_appended() -> None:
    assert unseen([], [b"a", b"b"]) == [b"a", b"b"]
    assert unseen([b"a", b"b"], [b"a", b"b", b"c"]) == [b"c"]
    assert unseen([b"a", b"b"], [b"b", b"c"]) == [b"c"]
    assert unseen([b"a", b"b"], [b"a", b"b"]) == []
    assert unseen([b"a"], [b"c"]) == [b"c"]
    assert unseen([b"a"], []) == []
