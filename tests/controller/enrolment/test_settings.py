from pathlib import Path

import pytest

from controller.enrolment.attest import Attestor
from controller.enrolment.settings import EnrolmentSettings, read_enrolment
from fleet.errors import ConfigurationError
from fleet.topology import FleetMap, trn3_datacenter

SLED, OTHER = "h1/us01/r1/s07", "h1/us01/r1/s08"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "enrolment.yaml"
    path.write_text(text)
    return path


def test_a_file_says_what_is_trusted(tmp_path: Path) -> None:
    (tmp_path / "roots.pem").write_text("some text")
    text = f"""
inventory: {{{SLED}: SL1}}
firmware: {{nitro: {{"2.31.4": {96 * "a"}, "2.32.0": }}}}
roots: roots.pem
"""
    settings = read_enrolment(written(tmp_path, text))
    assert settings.inventory == {SLED: "SL1"}
    assert settings.firmware == {"nitro": {"2.31.4": 96 * "a", "2.32.0": ""}}
    assert settings.roots_pem == "some text"
    settings.validate(FleetMap(trn3_datacenter()))


def test_an_empty_file_trusts_the_first_that_comes(tmp_path: Path) -> None:
    assert read_enrolment(written(tmp_path, "")) == EnrolmentSettings()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1, 2]", "not a mapping"),
        ("inventori: {}", "unknown 'inventori'; it has inventory, firmware, roots"),
        ("inventory: [SL1]", "inventory is not a mapping"),
        (f"inventory: {{{SLED}: 12}}", f"inventory: {SLED} is not text"),
        ("firmware: {nitro: 2.31}", "firmware: nitro is not a mapping"),
        ("firmware: {nitro: {2.31: abc}}", "2.31 is not text; put it in quotes"),
        ("roots: no.pem", "roots no.pem"),
        ("roots: [1]", "roots is not the name of a file"),
        ("a: [", "enrolment .*yaml: while parsing"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as refused:
        read_enrolment(written(tmp_path, text))
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_enrolment(tmp_path / "none.yaml")


def test_the_inventory_speaks_of_this_fleet_and_of_each_board_once() -> None:
    fleet_map = FleetMap(trn3_datacenter())
    with pytest.raises(ConfigurationError, match="no sled 'h9/x'"):
        EnrolmentSettings(inventory={"h9/x": "a"}).validate(fleet_map)
    with pytest.raises(ConfigurationError, match=f"{SLED} and {OTHER} have the same serial 'a'"):
        EnrolmentSettings(inventory={SLED: "a", OTHER: "a"}).validate(fleet_map)


def test_roots_that_are_no_certificates_are_one_line() -> None:
    with pytest.raises(ConfigurationError, match="enrolment roots"):
        Attestor("no certificate")
