"""What the hall serves and spends, as Prometheus reads it; no device tells this."""

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from emulator.datacenter import World
from emulator.serving.report import ServingReport

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_REQUESTS: Final = ("arrived", "completed", "refused", "retries")
_DURATIONS: Final = {
    "ttft": "From a request's arrival to its first token.",
    "tpot": "Between the tokens of an answer, on average.",
    "queue": "That a request spent in queues.",
    "latency": "From a request's arrival to its last token.",
}
_QUANTILES: Final = {"0.5": "p50_s", "0.9": "p90_s", "0.99": "p99_s"}


class HallMetrics:
    """Of a world; may be asked from any thread while the world steps."""

    def __init__(self, world: World) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Serving(world))

    def render(self) -> bytes:
        return generate_latest(self._registry)


class _Serving(Collector):
    def __init__(self, world: World) -> None:
        self._world = world

    def describe(self) -> Sequence[Metric]:
        """Nothing: the registry need not scrape to learn the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        reports = {name: self._world.serving_report(name) for name in self._world.serving.models}
        yield from _counts(reports)
        yield from _durations(reports)
        yield from _whole(self._world.serving_report())


def _counts(reports: dict[str, ServingReport]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "isotherm_serving_requests", "Requests, by what became of them.", labels=("model", "what")
    )
    tokens = CounterMetricFamily(
        "isotherm_serving_tokens", "Of answered requests.", labels=("model", "what")
    )
    waiting = GaugeMetricFamily(
        "isotherm_serving_unfinished", "Requests that wait or run.", labels=("model",)
    )
    for model, report in reports.items():
        for what in _REQUESTS:
            requests.add_metric([model, what], getattr(report, what))
        tokens.add_metric([model, "prompt"], report.prompt_tokens)
        tokens.add_metric([model, "output"], report.output_tokens)
        waiting.add_metric([model], report.unfinished)
    yield from (requests, tokens, waiting)


def _durations(reports: dict[str, ServingReport]) -> Iterator[Metric]:
    for name, text in _DURATIONS.items():
        family = GaugeMetricFamily(
            f"isotherm_serving_{name}_seconds", text, labels=("model", "quantile")
        )
        for model, report in reports.items():
            for quantile, field in _QUANTILES.items():
                family.add_metric([model, quantile], getattr(getattr(report, name), field))
        yield family


def _whole(report: ServingReport) -> Iterator[Metric]:
    """Energy is of the whole hall, whatever model it went to."""
    of = ("energy",)
    joules = CounterMetricFamily("isotherm_serving_energy_joules", "Spent so far.", labels=of)
    joules.add_metric(["chips"], report.spent.chip_j)
    joules.add_metric(["plant"], report.spent.plant_j)
    rate = GaugeMetricFamily("isotherm_serving_output_tokens_per_second", "Since the world began.")
    rate.add_metric([], report.output_tokens_per_s)
    worth = GaugeMetricFamily(
        "isotherm_serving_tokens_per_joule", "Output tokens for a joule.", labels=of
    )
    worth.add_metric(["chips"], report.tokens_per_chip_j)
    worth.add_metric(["plant"], report.tokens_per_plant_j)
    cost = GaugeMetricFamily(
        "isotherm_serving_usd_per_million_tokens", "Of output: chip time and energy.", labels=of
    )
    cost.add_metric(["chips"], report.chip_usd_per_million_tokens)
    cost.add_metric(["plant"], report.usd_per_million_tokens)
    yield from (joules, rate, worth, cost)
