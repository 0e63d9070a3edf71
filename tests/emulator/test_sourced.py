from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import sourced
from fleet.errors import ConfigurationError


class Metal(StrEnum):
    COPPER = "copper"
    STEEL = "steel"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateSettings:
    resistance_k_per_w: float
    flow_lpm: float
    metal: Metal
    fins: int
    table_kpa: tuple[float, ...]
    spare_w: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSettings:
    mass_kg: float
    plate: PlateSettings
    sensors: Mapping[str, PlateSettings]
    spare: PlateSettings | None = None

    def __post_init__(self) -> None:
        if self.mass_kg <= 0.0:
            raise ValueError(f"mass_kg = {self.mass_kg}: expected more than 0")


PLATE = """\
  resistance_k_per_w: {value: 1.67e-2, unit: K/W, source: "OCP 2023"}
  flow_lpm: {value: 1, unit: l/min, source: "OCP 2023"}
  metal: {value: copper, estimate: "as drawn"}
  fins: {value: 30, estimate: "as drawn"}
  table_kpa: {value: [1, 2.5e1], unit: kPa, source: "OCP 2023"}
"""
GOOD = f"""\
mass_kg: {{value: 1e0, unit: kg, estimate: "as drawn"}}
plate:
{PLATE}
sensors: {{}}
"""


def test_a_file_becomes_settings() -> None:
    part = sourced.parse(GOOD, "part.yaml", PartSettings)
    assert part.mass_kg == 1.0
    assert part.plate == PlateSettings(
        resistance_k_per_w=0.0167,
        flow_lpm=1.0,
        metal=Metal.COPPER,
        fins=30,
        table_kpa=(1.0, 25.0),
    )


def test_names_of_a_mapping_are_free() -> None:
    inner = PLATE.replace("  ", "    ")
    text = GOOD.replace("sensors: {}", f"sensors:\n  front:\n{inner}")
    assert set(sourced.parse(text, "part.yaml", PartSettings).sensors) == {"front"}


def test_a_section_that_may_be_absent_is_read_where_it_is_not() -> None:
    part = sourced.parse(GOOD + "spare:\n" + PLATE, "part.yaml", PartSettings)
    assert part.spare == part.plate
    assert sourced.parse(GOOD, "part.yaml", PartSettings).spare is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("unit: l/min", "unit: l/s", "line 4: flow_lpm: unit is l/s, but its name asks for lpm"),
        ("unit: K/W", "unit: W", "resistance_k_per_w: unit is W, but its name asks for k/w"),
        ("unit: kPa, ", "", "table_kpa: unit is 1, but its name asks for kpa"),
        (', source: "OCP 2023"}', "}", "say either its source, or why it is an estimate"),
        ('source: "OCP 2023"', 'source: " "', "its source is empty"),
        ('source: "OCP 2023"', 'source: "OCP 2023", estimate: "both"', "say either its source"),
        ("value: copper", "value: tin", "line 5: metal: 'tin' is not one of copper, steel"),
        ("value: 30", "value: 30.5", "fins: expected int, got 30.5"),
        ("value: 1,", "value: .inf,", "flow_lpm: expected a finite number, got inf"),
        ("value: 1,", "value: true,", "flow_lpm: expected a finite number, got True"),
        ("value: 1,", "", "flow_lpm: has no value"),
        ("[1, 2.5e1]", "7", "table_kpa: expected a list"),
        ("fins:", "finns:", "unknown setting 'finns'; expected resistance_k_per_w, flow_lpm"),
        ("value: 30,", "worth: 30,", "fins: unknown 'worth'"),
        ("mass_kg:", "plate:", "'plate' stands twice"),
        ("sensors: {}", "", "line 1: missing sensors"),
        ("value: 1e0", "value: -1", "line 1: mass_kg = -1.0: expected more than 0"),
        ("sensors: {}", "sensors: 3", "expected names, got 3"),
        ("sensors: {}", "sensors: [", "not YAML"),
    ],
)
def test_what_can_not_be_used_is_said_with_its_line(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigurationError, match=r"^part\.yaml line \d+: .*") as caught:
        sourced.parse(GOOD.replace(old, new), "part.yaml", PartSettings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n"])
def test_an_empty_file_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"part\.yaml: is empty; expected mass_kg"):
        sourced.parse(text, "part.yaml", PartSettings)


@given(text=st.text() | st.text(alphabet="abc:{}[]-\n &*!|>'\" 01.,"))
def test_nonsense_is_one_clear_line(text: str) -> None:
    with pytest.raises(ConfigurationError):
        sourced.parse(text, "part.yaml", PartSettings)


@pytest.mark.parametrize(
    ("field", "unit"),
    [
        ("resistance_k_per_w", "K/W"),
        ("w_per_k_per_lpm", "W/K/(l/min)"),
        ("specific_heat_j_per_kgk", "J/kgK"),
        ("leakage_per_k", "1/K"),
        ("junction_c", "°C"),
        ("hbm_bytes_per_s", "bytes/s"),
        ("throttle_ratio", "1"),
        ("vcpus", "1"),
    ],
)
def test_units_are_read_off_names(field: str, unit: str) -> None:
    assert sourced.normal_unit(unit) == sourced.unit_of(field)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.yaml: no such settings file in package"):
        sourced.load("emulator", "none.yaml", PartSettings)
    with pytest.raises(ConfigurationError, match="can not be read"):
        sourced.load_path(tmp_path / "none.yaml", PartSettings)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "part.yaml"
    path.write_text(GOOD)
    assert sourced.load_path(path, PartSettings).mass_kg == 1.0
