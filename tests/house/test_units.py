import ast

import pytest

from tests.house.tree import modules
from tests.house.units import mixtures, numbers, says_its_unit

PHYSICAL = ("fleet", "thermal", "emulator", "controller", "agent")


@pytest.mark.parametrize(
    "line",
    [
        "x_c = a_c - b_c",  # a difference is no temperature
        "y = flow_lpm + power_w",
        "hot = junction_c > margin_k",
        "hot = self.flow_lpm < limits.low_kpa",
        "supply_c = flow_lpm",
    ],
)
def test_a_mixture_of_units_is_found(line: str) -> None:
    assert list(mixtures(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        "margin_k = limit_c - junction_c",
        "limit_c = supply_c + approach_k",
        "x_c = a_c - (b_c - d_c)",
        "power_w = flow_lpm * w_per_lpm",
        "hot = junction_c > 85.0",
        "x_c[0] = y_c[3]",
        "mean_c = 0.5 * (a_c + b_c)",
    ],
)
def test_sound_arithmetic_is_left_alone(line: str) -> None:
    assert list(mixtures(ast.parse(line))) == []


@pytest.mark.parametrize(
    ("name", "said"), [("supply_c", True), ("supply", False), ("r_k_per_w", True)]
)
def test_a_name_says_its_unit(name: str, said: bool) -> None:
    assert says_its_unit(name) is said


def test_every_number_says_its_unit() -> None:
    """Plain numbers are listed in `units.py`: by last word, or as of their context."""
    silent = [
        f"{module.path}:{line} {name}"
        for module in modules(*PHYSICAL)
        for name, line in numbers(module.tree)
        if not says_its_unit(name)
    ]
    assert silent == []


def test_no_expression_mixes_units() -> None:
    mixed = [
        f"{module.path}:{line} {text}"
        for module in modules(*PHYSICAL)
        for text, line in mixtures(module.tree)
    ]
    assert mixed == []
