import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.inputs.neuron_sysfs import NeuronSysfsInput

REPAIRABLE, POWER = "hbm_ecc_repairable_uncorrected_total", "power_utilization_ratio"
HARDWARE, MINUTE = "stats/hardware/mem_ecc_repairable_uncorrected", "stats/power/utilization"


def tree(root: Path, **texts: str | bytes) -> None:
    """`chip0`, `power0`, ...: texts of the files of one device."""
    for name, text in texts.items():
        path = root / f"neuron{name[-1]}" / (HARDWARE if name.startswith("chip") else MINUTE)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)


def test_one_bad_file_takes_nothing_from_the_others(tmp_path: Path) -> None:
    tree(tmp_path, chip0="12\n", chip1="many\n", power0="odd\n", power1="VALID\n")
    tree(tmp_path, power2="POWER_STATUS_VALID,60,1.00,3.00,2.00\n")
    seen = NeuronSysfsInput(tmp_path, chips=4).read(0.0)
    assert seen.counters == {(REPAIRABLE, 0): 12}
    assert seen.values == {(POWER, 2): pytest.approx(0.02)}
    assert sorted(str(error).rpartition("/neuron")[2] for error in seen.errors) == [
        "0/stats/power/utilization: b'odd\\n' is no minute of power",
        "1/stats/hardware/mem_ecc_repairable_uncorrected: b'many\\n' is no count",
        "1/stats/power/utilization: b'VALID\\n' is no minute of power",
    ]


@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        ("POWER_STATUS_VALID,60,0.00,100.00,100.00\n", 1.0),
        ("POWER_STATUS_NO_DATA,0,0.00,0.00,0.00\n", math.nan),
        ("POWER_STATUS_INVALID,60,1.00,1.00,1.00", math.nan),
    ],
)
def test_a_minute_of_power(tmp_path: Path, text: str, ratio: float) -> None:
    tree(tmp_path, power0=text)
    seen = NeuronSysfsInput(tmp_path, chips=1).read(0.0)
    assert seen.values[POWER, 0] == pytest.approx(ratio, nan_ok=True)


@pytest.mark.parametrize(
    "text", ["", "-1", "1.5", "0x10", "1 2", " 1", "1\n\n", "18446744073709551616", "٣"]
)
def test_what_is_no_count_is_an_error(tmp_path: Path, text: str) -> None:
    tree(tmp_path, chip0=text)
    seen = NeuronSysfsInput(tmp_path, chips=1).read(0.0)
    assert (seen.counters, len(seen.errors)) == ({}, 1)


def test_counts_are_exact_where_a_float_is_not(tmp_path: Path) -> None:
    tree(tmp_path, chip0=f"{2**53 + 1}\n")
    assert NeuronSysfsInput(tmp_path, chips=1).read(0.0).counters[REPAIRABLE, 0] == 2**53 + 1


def test_a_register_that_can_not_be_read_or_was_cleared_loses_no_count(tmp_path: Path) -> None:
    source = NeuronSysfsInput(tmp_path, chips=1)
    totals = []
    for second, count in enumerate((5, 0, 6, 2)):
        tree(tmp_path, chip0=f"{count}\n")
        totals.append(source.read(float(second)).counters[REPAIRABLE, 0])
    assert totals == [5, 5, 6, 8]


def test_what_is_not_there_is_looked_for_each_minute_and_no_error(tmp_path: Path) -> None:
    source = NeuronSysfsInput(tmp_path / "away", chips=2)
    assert source.read(0.0) == source.read(1.0)
    tree(tmp_path / "away", chip0="1\n")
    assert source.read(59.0).counters == {}
    assert source.read(61.0).counters == {(REPAIRABLE, 0): 1}


def test_files_of_cores_are_not_mistaken_for_the_devices_own(tmp_path: Path) -> None:
    path = tmp_path / "neuron0/neuron_core0/stats/power"
    path.mkdir(parents=True)
    (path / "utilization").write_text("POWER_STATUS_VALID,60,1.00,1.00,1.00\n")
    assert NeuronSysfsInput(tmp_path, chips=1).read(0.0).values == {}


def test_a_link_round_in_a_circle_ends(tmp_path: Path) -> None:
    tree(tmp_path, chip0="1\n")
    (tmp_path / "neuron0/stats/again").symlink_to(tmp_path / "neuron0")
    assert NeuronSysfsInput(tmp_path, chips=1).read(0.0).counters == {(REPAIRABLE, 0): 1}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=100))
def test_any_text_is_a_value_or_an_error(tmp_path: Path, text: bytes) -> None:
    tree(tmp_path, chip0=text, power0=text)
    seen = NeuronSysfsInput(tmp_path, chips=1).read(0.0)
    assert len(seen.values) + len(seen.counters) + len(seen.errors) == 2
