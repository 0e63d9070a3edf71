"""What a run leaves behind: the truth, second by second, for metrics, figures and CSV."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from thermal.arrays import FloatArray

COLUMNS: Final = (
    "supply_c",
    "return_c",
    "setpoint_c",
    "hottest_c",
    "valve_ratio",
    "pump_ratio",
    "flow_lpm",
    "dew_point_c",
    "heat_w",
    "cooling_w",
    "primary_supply_c",
)


@dataclass(slots=True)
class Trace:
    """[seconds, loops] by column, grown while the rig runs."""

    rows: dict[str, list[FloatArray]] = field(
        default_factory=lambda: {name: [] for name in COLUMNS}
    )

    def keep(self, values: Mapping[str, FloatArray]) -> None:
        """One second, [loops] by column."""
        for name in COLUMNS:
            self.rows[name].append(np.array(values[name], dtype=np.float64))

    def column(self, name: str) -> FloatArray:
        """[seconds, loops]"""
        stacked: FloatArray = np.array(self.rows[name])
        return stacked

    def write(self, path: Path) -> None:
        """The first loop as CSV, one row a second."""
        columns = {name: self.column(name)[:, 0] for name in COLUMNS}
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("second", *COLUMNS))
            for second in range(len(columns["supply_c"])):
                writer.writerow(
                    (second + 1, *(f"{values[second]:.6g}" for values in columns.values()))
                )
