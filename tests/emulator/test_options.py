from pathlib import Path
from typing import Any

import pytest

from emulator.options import EmulatorOptions
from fleet.errors import ConfigurationError


def test_the_defaults_can_be_used() -> None:
    EmulatorOptions().validate()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", -1),
        ("load_ratio", -0.1),
        ("load_ratio", float("nan")),
        ("emulated_peak_flop_per_s", 0.0),
        ("emulated_peak_flop_per_s", float("inf")),
        ("max_batch", 0),
        ("step_s", 0.0),
        ("settle_s", -1.0),
        ("longest_plant_step_s", 2.0),
    ],
)
def test_a_value_that_can_not_be_used_is_named(field: str, value: float) -> None:
    values: dict[str, Any] = {field: value}

    with pytest.raises(ConfigurationError, match=f"emulator option {field} = "):
        EmulatorOptions(**values).validate()


def test_a_trace_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"trace = .*gone\.csv: no such file"):
        EmulatorOptions(trace=tmp_path / "gone.csv").validate()
