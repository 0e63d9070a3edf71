"""Suites by name: the cases of each by id, in the order in which they run."""

from collections.abc import Mapping
from typing import Final

from isotherm.bench.cooling import suite as cooling
from isotherm.bench.emulator.balance import e5
from isotherm.bench.emulator.corruption import e8
from isotherm.bench.emulator.engine import e1
from isotherm.bench.emulator.everything import e2
from isotherm.bench.emulator.fleet_plant import e3
from isotherm.bench.emulator.loss_of_flow import e6
from isotherm.bench.emulator.memory import e7
from isotherm.bench.emulator.published import e4
from isotherm.bench.emulator.replay import e9
from isotherm.bench.fleet import f1, f2
from isotherm.bench.pipeline.agent import p7
from isotherm.bench.pipeline.chaos import p4
from isotherm.bench.pipeline.codec import p2
from isotherm.bench.pipeline.durable import p1
from isotherm.bench.pipeline.failover import p5
from isotherm.bench.pipeline.query import p6
from isotherm.bench.pipeline.stored import p3
from isotherm.bench.report import CaseRun

SUITES: Final[Mapping[str, Mapping[str, CaseRun]]] = {
    "cooling": cooling.cases(cooling.Choice()),
    "emulator": {
        "E1": e1,
        "E2": e2,
        "E3": e3,
        "E4": e4,
        "E5": e5,
        "E6": e6,
        "E7": e7,
        "E8": e8,
        "E9": e9,
    },
    "pipeline": {
        "P1": p1,
        "P2": p2,
        "P3": p3,
        "P4": p4,
        "P5": p5,
        "P6": p6,
        "P7": p7,
    },
    "fleet": {
        "F1": f1,
        "F2": f2,
    },
}
