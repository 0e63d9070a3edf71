"""What is drawn is what was measured."""

from typing import Any

import pytest
from playwright.sync_api import expect

from controller.anomaly.rules import THRESHOLDS
from tests.dashboard.site import Opened, Site

pytestmark = pytest.mark.chromium
ROUNDS = 12


def test_every_drawn_value_is_the_measured_one_within_a_code_step(
    opened: Opened, site: Site
) -> None:
    """Fails on a wrong header field, scale, base, or order of the chips."""
    opened.page.get_by_test_id("metric").select_option("power_w")
    opened.wait_until(lambda: opened.probe("h1/us01/r1/s01/c0")["scale"] > 1, "planes of power")
    # A tick may come between the two readings; one round in which none did is enough, and a value
    # that is drawn wrong is wrong in every round.
    rounds = [drawn_wrong(opened, site) for _ in range(ROUNDS)]
    assert min(rounds, key=len) == {}


def drawn_wrong(opened: Opened, site: Site) -> dict[str, tuple[float, list[float]]]:
    """Chips drawn otherwise than the API said just before or just after, with both."""
    before = powers(site)
    probes = opened.page.evaluate("ids => ids.map(id => window.__fleet.probe(id))", list(before))
    after = powers(site)
    assert len(probes) == 288
    opened.page.wait_for_timeout(230)
    return {
        chip: (probe["value"], [before[chip], after[chip]])
        for chip, probe in zip(before, probes, strict=True)
        if not min(before[chip], after[chip]) - probe["scale"]
        <= probe["value"]
        <= max(before[chip], after[chip]) + probe["scale"]
    }


def powers(site: Site) -> dict[str, float]:
    return {chip["id"]: chip["values"]["power_w"] for chip in site.api.chips()}


def test_the_map_follows_a_change_of_metric(opened: Opened, site: Site) -> None:
    """Fails when the map keeps the plane of the old metric, or the legend its old range."""
    page = opened.page
    chip = "h1/us01/r1/s01/c0"
    page.get_by_label("absolute").check()
    before = opened.probe(chip)
    page.get_by_test_id("metric").select_option("neuroncore_utilization_ratio")
    opened.wait_until(lambda: 0 <= opened.probe(chip)["value"] <= 1, "a ratio instead of degrees")
    opened.wait_until(lambda: opened.probe(chip)["colour"] != before["colour"], "another colour")
    expect(page.get_by_label("Legend")).to_contain_text("100.0 %")


def test_loop_values_are_those_of_the_api_and_change(opened: Opened, site: Site) -> None:
    """Fails when the schematic mixes up its sensors, rounds wrongly, or stands still."""
    page = opened.page
    texts: set[str] = set()
    flow = page.get_by_test_id("flow")

    def agrees() -> bool:
        cdu: dict[str, Any] = site.api.loops()[0]["cdu"]
        texts.add(flow.text_content() or "")
        return [
            page.get_by_test_id(name).text_content()
            for name in ("supply", "return", "heat", "flow")
        ] == [
            f"{cdu['supply_c']:.1f} °C",
            f"{cdu['return_c']:.1f} °C",
            f"{cdu['heat_removed_w'] / 1000:.1f} kW",
            f"{cdu['secondary_flow_lpm']:.0f} l/min",
        ]

    # Python rounds halves to even and the page away from zero: a later reading has no half.
    opened.wait_until(agrees, "schematic and API agree")
    opened.wait_until(lambda: agrees() and len(texts) > 1, "the flow changes")
    expect(page.get_by_test_id("pump")).to_have_count(len(site.api.loops()[0]["pumps"]))
    expect(page.get_by_test_id("supply-bar")).to_contain_text("set-point 40.0")


def test_marks_are_those_of_the_rules_that_open_incidents(opened: Opened) -> None:
    """Fails when a limit is changed in the rules and not on the page."""
    limits = opened.page.evaluate("window.__fleet.limits")
    rules = {row.rule.name: row.limit for row in THRESHOLDS}
    assert limits["chip"]["junction_c"] == {
        "warning": rules["chip_hot"],
        "critical": rules["chip_too_hot"],
    }
    assert limits["chip"]["hbm_c"] == {
        "warning": rules["hbm_hot"],
        "critical": rules["hbm_too_hot"],
    }
    assert limits["loop"] == {
        "supply_over_k": rules["supply_over"],
        "supply_under_k": rules["supply_under"],
        "dew_margin_k": rules["dew_margin_low"],
        "reservoir_level_ratio": rules["reservoir_low"],
    }


def test_the_table_has_the_values_of_the_map(opened: Opened) -> None:
    """Fails when the canvas has no twin for those who can not see it."""
    page = opened.page
    page.get_by_role("button", name="Table").click()
    rows = page.get_by_test_id("chip-table").locator("tbody tr")
    expect(rows).to_have_count(36)
    expect(rows.first).to_contain_text("°C")
    expect(page.get_by_label("UltraServer")).to_have_value("h1/us01")
    page.get_by_label("UltraServer").select_option("h1/us02")
    expect(rows.first).to_contain_text("h1/us02/r1/s01")
