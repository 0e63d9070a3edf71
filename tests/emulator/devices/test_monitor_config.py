import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.devices.monitor_config import AGENTS_PLAN, SYSTEM_GROUPS, read_plan
from fleet.errors import ConfigurationError

# The example of the AWS Neuron guide, with periods of its own.
EXAMPLE = {
    "period": "1s",
    "neuron_runtimes": [
        {
            "tag_filter": ".*",
            "metrics": [
                {"type": "neuroncore_counters"},
                {"type": "memory_used", "period": "500ms"},
                {"type": "neuron_runtime_vcpu_usage"},
                {"type": "execution_stats", "period": "1m30s"},
            ],
        }
    ],
    "system_metrics": [{"type": "vcpu_usage"}, {"type": "neuron_hw_counters", "period": "2s"}],
}


def test_a_group_without_a_period_takes_that_of_all() -> None:
    plan = read_plan(json.dumps(EXAMPLE).encode())
    [watched] = plan.runtimes
    assert dict(watched.period_s) == {
        "neuroncore_counters": 1.0,
        "memory_used": 0.5,
        "neuron_runtime_vcpu_usage": 1.0,
        "execution_stats": 90.0,
    }
    assert dict(plan.system_period_s) == {"vcpu_usage": 1.0, "neuron_hw_counters": 2.0}
    assert plan.report_s == 0.5


def test_an_empty_configuration_reports_no_group_every_five_seconds() -> None:
    plan = read_plan(b"{}")
    assert (plan.runtimes, dict(plan.system_period_s), plan.report_s) == ((), {}, 5.0)


def test_agents_ask_for_the_hardware_counters_by_name() -> None:
    assert set(AGENTS_PLAN.system_period_s) == set(SYSTEM_GROUPS)
    assert AGENTS_PLAN.entry_of("any job") == 0


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"period": "5"}, "period '5'"),
        ({"period": "0s"}, "above 0"),
        ({"period": 5}, "$.period"),
        ({"periods": "5s"}, "periods"),
        ({"system_metrics": [{"type": "vcpu"}]}, "neuron_hw_counters"),
        ({"system_metrics": [{"type": "vcpu_usage", "period": "2d"}]}, "system_metrics[0].period"),
        ({"neuron_runtimes": [{"tag_filter": "("}]}, "neuron_runtimes[0].tag_filter"),
        ({"neuron_runtimes": [{"tag_filter": "a" * 201}]}, "201 characters"),
        ({"neuron_runtimes": [{"metrics": [{"type": "vcpu_usage"}]}]}, "memory_used"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_plan(json.dumps(config).encode())
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda t: json.dumps({"period": t}).encode())
)
def test_any_bytes_are_a_plan_or_one_clear_error(text: bytes) -> None:
    try:
        plan = read_plan(text)
    except ConfigurationError:
        return
    assert plan.report_s > 0.0
