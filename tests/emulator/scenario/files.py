"""Small scenarios as text and as files."""

from pathlib import Path

from emulator.scenario.read import read_scenario
from emulator.scenario.scenario import Scenario

SMALL = """\
name: small
description: one UltraServer for a minute
seed: 5
duration_s: 20
options: {emulated_peak_flop_per_s: 100000, settle_s: 10}
datacenter:
  loops:
    - kind: liquid-to-liquid
      ultraservers: {trn3-gen2: 1}
load:
  shape: linear
  points:
    - [0, 0.2]
    - [10, 1.0]
jobs:
  - {name: chat, model: llama-3-8b, chips: 8, tensor_parallel: 4, count: 2}
faults:
  - {kind: leak, place: random, severity: weep, start_s: 5, duration_s: 10}
  - {kind: pump_trip, place: "h1/cdu01#1", start_s: 8}
recording: {truth_s: 5}
"""


def written(folder: Path, text: str, name: str = "scenario.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def small(folder: Path, *, changed: tuple[str, str] | None = None) -> Scenario:
    text = SMALL
    if changed is not None:
        assert changed[0] in text
        text = text.replace(*changed)
    return read_scenario(written(folder, text))
