"""One report of `neuron-monitor`, group by group.

Every group is optional, may carry an `error` in its place, and unknown fields are ignored.
Source: AWS Neuron documentation, neuron-monitor user guide.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from agent.inputs.lenient import (
    JsonObject,
    count,
    mapping,
    number,
    objects,
    ratio_of_percent,
    text,
    within,
)

ECC_METRICS: Final = {
    "mem_ecc_corrected": "hbm_ecc_corrected_total",
    "mem_ecc_uncorrected": "hbm_ecc_uncorrected_total",
    "sram_ecc_corrected": "sram_ecc_corrected_total",
    "sram_ecc_uncorrected": "sram_ecc_uncorrected_total",
}
_BREAKDOWN: Final = (
    "constants",
    "model_code",
    "model_shared_scratchpad",
    "runtime_memory",
    "tensors",
)
_FAILURES: Final = (
    "completed_with_err",
    "completed_with_num_err",
    "timed_out",
    "incorrect_input",
    "failed_to_queue",
)
_ERRORS: Final = ("generic", "transient", "model", "runtime", "hardware")
_BUSY: Final = ("user", "nice", "system", "irq", "soft_irq")


class Core(NamedTuple):
    """One NeuronCore in use, by its index on the host."""

    place: int
    utilization_ratio: float
    flop_per_s: float


def group(parent: JsonObject, name: str) -> tuple[JsonObject | None, str]:
    """The group, or None when it is not in this report; and its own error text."""
    found = parent.get(name)
    if not isinstance(found, dict):
        return None, ""
    error = text(found.get("error"))
    return (None, f"{name}: {error}") if error else (found, "")


def cores(counters: JsonObject) -> Iterator[Core]:
    for name, value in mapping(counters.get("neuroncores_in_use")).items():
        if name.isdecimal():
            core = mapping(value)
            yield Core(
                int(name[:6]),
                ratio_of_percent(number(core.get("neuroncore_utilization"))),
                number(core.get("flops")),
            )


def core_bytes(memory: JsonObject) -> tuple[tuple[int, int], ...]:
    """(NeuronCore index, bytes of device memory) for each core that holds some."""
    held = within(memory, "neuron_runtime_used_bytes", "usage_breakdown", "neuroncore_memory_usage")
    return tuple(
        (int(name[:6]), total(mapping(value), _BREAKDOWN))
        for name, value in held.items()
        if name.isdecimal()
    )


def latency_s(stats: JsonObject) -> tuple[float, float]:
    """p50 and p99 of the whole execution; NaN when nothing ran."""
    latency = within(stats, "latency_stats", "total_latency")
    return number(latency.get("p50")), number(latency.get("p99"))


def executions(stats: JsonObject) -> tuple[int, int]:
    """Completed and failed in the period.

    One failure shows among the errors and among the outcomes; the larger sum misses none and
    counts none twice. `numerical` is also spelled `numeric`.
    """
    outcomes = mapping(stats.get("execution_summary"))
    errors = mapping(stats.get("error_summary"))
    numerical = max(count(errors.get("numerical")) or 0, count(errors.get("numeric")) or 0)
    return (
        count(outcomes.get("completed")) or 0,
        max(total(errors, _ERRORS) + numerical, total(outcomes, _FAILURES)),
    )


def vcpu_ratio(usage: JsonObject) -> float:
    average = mapping(usage.get("average_usage"))
    busy = [number(average.get(name)) for name in _BUSY if name in average]
    return ratio_of_percent(sum(busy)) if busy else float("nan")


def ecc_counts(counters: JsonObject) -> Iterator[tuple[str, int, int]]:
    """(metric, device, value as reported); what is missing or no count is left out."""
    for device in objects(counters.get("neuron_devices")):
        index = count(device.get("neuron_device_index"))
        for name, metric in ECC_METRICS.items():
            value = count(device.get(name))
            if index is not None and value is not None:
                yield metric, index, value


def total(document: JsonObject, names: tuple[str, ...]) -> int:
    counted = 0
    for name in names:
        value = document.get(name)
        # The exact type first: this is most of what a tick does.
        if type(value) is int and value >= 0:
            counted += value
        elif value is not None:
            counted += count(value) or 0
    return counted
