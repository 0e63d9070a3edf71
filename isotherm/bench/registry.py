"""Suites by name; each runs its cases and says what it measured."""

from collections.abc import Callable, Mapping
from typing import Final

from isotherm.bench.emulator import TARGET_RATIO, run_e1
from isotherm.bench.fleet import fleet_suite
from isotherm.bench.report import Case

Suite = Callable[[bool, int], list[Case]]


def emulator_suite(quick: bool, seed: int) -> list[Case]:
    result = run_e1(quick, seed)
    return [
        Case(
            id="E1",
            title="workload engine over plain numpy matmul, same shapes and threads",
            metrics={
                "ratio": result.ratio,
                "engine_gflop_per_s": result.engine_gflop_per_s,
                "plain_gflop_per_s": result.plain_gflop_per_s,
                "rounds": float(result.rounds),
                "threads": float(result.threads),
            },
            target={"ratio": (">=", TARGET_RATIO)},
        )
    ]


SUITES: Final[Mapping[str, Suite]] = {"emulator": emulator_suite, "fleet": fleet_suite}
