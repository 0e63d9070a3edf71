import pytest

from fleet.metrics import BY_NAME, METRICS, Kind, MetricSpec
from fleet.units import SUFFIXES


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(METRICS)


@pytest.mark.parametrize("spec", METRICS, ids=lambda spec: spec.name)
def test_every_dimension_is_in_the_name(spec: MetricSpec) -> None:
    if spec.kind is Kind.STATE:
        assert spec.states
        assert spec.high == len(spec.states) - 1
    elif spec.kind is Kind.COUNTER:
        assert spec.name.endswith("_total")
    else:
        assert any(spec.name.endswith(suffix) for suffix in SUFFIXES)
    assert spec.low < spec.high
