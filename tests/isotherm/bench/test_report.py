import msgspec
import pytest

from isotherm.bench.report import Case, to_json


def test_a_case_passes_only_when_every_target_is_measured_and_held() -> None:
    target = {"ratio": (">=", 0.9), "errors": ("==", 0.0)}
    held = Case(id="X", title="t", metrics={"ratio": 0.9, "errors": 0.0}, target=target)
    assert held.passed
    assert not Case(id="X", title="t", metrics={"ratio": 0.89, "errors": 0.0}, target=target).passed
    assert not Case(id="X", title="t", metrics={"ratio": 0.95}, target=target).passed
    assert not Case(id="X", title="t", metrics={"ratio": float("nan")}, target=target).passed


def test_a_case_that_could_not_run_is_present_and_failed() -> None:
    case = Case(id="X", title="t", reason="no broker")
    row = msgspec.json.decode(to_json("suite", [case]))["cases"][0]
    assert (row["passed"], row["reason"]) == (False, "no broker")


def test_an_operator_that_does_not_exist_is_a_bug_not_a_pass() -> None:
    with pytest.raises(ValueError, match="unknown operator"):
        _ = Case(id="X", title="t", metrics={"a": 1.0}, target={"a": ("~", 1.0)}).passed
