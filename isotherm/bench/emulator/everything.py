"""Case E2: the whole house around 576 emulated chips keeps real time."""

from dataclasses import replace

from isotherm.bench.fleet import all_in_one
from isotherm.bench.report import Case


def e2(quick: bool, seed: int) -> Case:
    """Emulator with real products, 146 agents, controller and API in one process, at full load."""
    case = all_in_one(
        "E2",
        "isotherm up, 576 chips on two loops, load 1.0, real products, one process",
        quick=quick,
        seed=seed,
        loops=2,
    )
    return replace(case, target={"real_time_factor": (">=", 1.0), "cpu_share": ("<=", 0.60)})
