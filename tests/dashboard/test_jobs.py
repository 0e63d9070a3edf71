"""Work is submitted, explained and cancelled on the page."""

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.dashboard.site import Opened, Site

pytestmark = pytest.mark.chromium
PLACED_MS = 15_000


def submit(page: Page, name: str, chips: int) -> Locator:
    """Fills the form and sends it; the row of the job."""
    page.get_by_role("button", name="Submit a job").click()
    form = page.get_by_test_id("job-form")
    form.get_by_label("Name").fill(name)
    form.get_by_label("Model").select_option("gpt-oss-120b")
    form.get_by_label("Chips").fill(str(chips))
    form.get_by_label("Tensor parallel").fill("4")
    form.get_by_role("button", name="Submit", exact=True).click()
    return page.get_by_test_id("job").filter(has_text=name)


def test_a_submitted_job_runs_and_is_cancelled_after_a_question(opened: Opened, site: Site) -> None:
    """Fails when the form drops a field, when one click cancels, or when nothing does."""
    row = submit(opened.page, "from-the-page", 8)
    expect(row).to_contain_text("running", timeout=PLACED_MS)
    (job,) = [one for one in site.api.jobs() if one["name"] == "from-the-page"]
    assert (job["model"], job["chips"], job["tensor_parallel"]) == ("gpt-oss-120b", 8, 4)

    cancel = row.get_by_role("button", name="Cancel from-the-page")
    cancel.click()
    row.get_by_role("button", name="Keep").click()
    assert not site.api.job(job["id"])["cancel_requested"]
    cancel.click()
    row.get_by_role("button", name="Yes, cancel from-the-page").click()
    expect(row).to_have_count(0, timeout=PLACED_MS)
    assert site.api.job(job["id"])["state"] == "stopped"


def test_a_waiting_job_says_why(opened: Opened, site: Site) -> None:
    """Fails when a person has to guess what a job waits for."""
    row = submit(opened.page, "too-big-for-now", 144)
    expect(row).to_contain_text("pending", timeout=PLACED_MS)
    expect(row).to_contain_text("needs 144 chips in one UltraServer", timeout=PLACED_MS)
    (job,) = [one for one in site.api.jobs() if one["name"] == "too-big-for-now"]
    site.api.cancel(job["id"])


def test_a_job_shows_its_chips(opened: Opened) -> None:
    """Fails when the map does not say where a job runs."""
    row = opened.page.get_by_test_id("job").filter(has_text="chat")
    expect(row).to_contain_text("running", timeout=PLACED_MS)
    button = row.get_by_role("button", name="chat", exact=True)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")


def test_a_refusal_is_one_line(opened: Opened) -> None:
    """Fails when an error of the API is swallowed or shown as raw JSON."""

    def refuse(route: Route) -> None:
        problem = {"title": "Full", "status": 503, "detail": "the database is away"}
        route.fulfill(status=503, json=problem, content_type="application/problem+json")

    opened.page.route("**/api/v1/jobs", refuse)
    submit(opened.page, "refused", 4)
    expect(opened.page.get_by_test_id("trouble")).to_have_text("✕ the database is away")


def test_a_gang_that_can_not_be_split_is_refused_before_it_is_sent(opened: Opened) -> None:
    """Fails when the page lets people send what the API must refuse."""
    submit_button = opened.page.get_by_role("button", name="Submit", exact=True)
    opened.page.get_by_role("button", name="Submit a job").click()
    opened.page.get_by_role("spinbutton", name="Chips").fill("6")
    opened.page.get_by_label("Tensor parallel").fill("4")
    expect(submit_button).to_be_disabled()
    expect(opened.page.get_by_test_id("job-form")).to_contain_text("multiple of tensor parallel")
