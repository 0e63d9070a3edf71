"""Case E9: whole traces through the serving path, with chips that fail on the way."""

import gzip
import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from emulator.fabric import Fabric
from emulator.readings import JobSpec
from emulator.serving.replica import BatchLimits
from emulator.serving.report import ServingReport
from emulator.serving.request import COLUMNS
from emulator.serving.services import Serving
from emulator.serving.trace import HEADER, TraceTable, read_trace
from emulator.serving.traffic import GeneratedTraffic, Replay
from emulator.skus import FleetSkus
from fleet.topology import FleetMap, trn3_datacenter
from isotherm.bench.report import Case

TRACES: Final[Mapping[str, str]] = {
    "azure_conv": "azure_llm_2023_conv_first_half.csv.gz",
    "azure_code": "azure_llm_2023_code_first_half.csv.gz",
    "mooncake": "mooncake_fast25_conversation.jsonl.gz",
}
_DATA: Final = Path(__file__).parents[4] / "shared" / "data"
_MODEL: Final = "llama-3-70b"
_PREFILL_SLEDS: Final = 6
_DECODE_SLEDS: Final = 2
_SERVE_SLEDS: Final = 4
_CHIPS_PER_SLED: Final = 4
_RELOAD_S: Final = 20.0
_FAULT_EVERY_S: Final = 97
_PATIENCE_S: Final = 3_600
_QUICK_REQUESTS: Final = 1_500


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayResult:
    """One trace served; each request is known by its serial."""

    served_share: float
    """Requests answered exactly once, of all in the trace."""
    token_error: float
    """Prompt and output tokens answered over those of the trace, less 1; without a sign."""
    answered_twice: int
    report: ServingReport


def e9(quick: bool, seed: int) -> Case:
    rng = np.random.default_rng(seed)
    metrics: dict[str, float] = {}
    with traces(rng) as (paths, source):
        for name, path in paths.items():
            table = read_trace(path)
            if quick:
                table = _first(table, _QUICK_REQUESTS)
            for title, disaggregated in ((name, False), (f"{name}_split", True)):
                result = run_e9(table, rng, disaggregated=disaggregated)
                metrics |= _metrics(title, result)
    worst_share = min(value for key, value in metrics.items() if key.endswith("served_share"))
    worst_error = max(value for key, value in metrics.items() if key.endswith("token_error"))
    return Case(
        id="E9",
        title=f"replay of {source}, {_MODEL}, chips fail every {_FAULT_EVERY_S} s",
        metrics={"served_share": worst_share, "token_error": worst_error, **metrics},
        target={"served_share": ("==", 1.0), "token_error": ("==", 0.0)},
    )


@contextmanager
def traces(rng: np.random.Generator) -> Iterator[tuple[Mapping[str, Path], str]]:
    """Paths by name, and in words where they are from."""
    there = {name: _DATA / file for name, file in TRACES.items() if (_DATA / file).is_file()}
    if there:
        yield there, f"recorded traces ({', '.join(there)})"
        return
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as folder:
        path = Path(folder) / "generated.csv.gz"
        _write_generated(path, rng)
        yield {"generated": path}, "a generated trace (no recorded one is here)"


def run_e9(
    table: TraceTable, rng: np.random.Generator, *, disaggregated: bool = False
) -> ReplayResult:
    """Serve a trace to its end, with a replica interrupted now and then and one lost for good."""
    fleet_map = FleetMap(trn3_datacenter(ultraservers=1))
    replay = Replay(table)
    limits = BatchLimits(max_batch=256, prefill_tokens=8_192, max_waiting=512)
    skus = FleetSkus(fleet_map)
    serving = Serving(fleet_map, skus, limits, lambda: replay, Fabric(skus))
    serving.reconcile(_jobs(fleet_map, disaggregated=disaggregated), 0.0)
    busy = np.array(sorted(serving.shapes()))
    usable = np.ones(fleet_map.chips, dtype=np.bool_)
    answers = np.zeros(len(table.at_s), dtype=np.int64)
    tokens = 0.0
    for second in range(int(table.at_s[-1]) + _PATIENCE_S):
        serving.serve(
            float(second),
            1.0,
            load_ratio=1.0,
            speed_ratio=np.ones(fleet_map.chips),
            usable=usable,
        )
        answered = serving.answered_rows(_MODEL)
        np.add.at(answers, answered[:, COLUMNS["serial"]].astype(np.int64), 1)
        tokens += float(answered[:, [COLUMNS["prompt_tokens"], COLUMNS["output_tokens"]]].sum())
        if replay.ended and not serving.queued:
            break
        if second % _FAULT_EVERY_S == _FAULT_EVERY_S - 1:
            failed = np.zeros(fleet_map.chips, dtype=np.bool_)
            failed[rng.choice(busy)] = True
            serving.interrupt(failed, second + 1.0 + _RELOAD_S)
        if second == int(table.at_s[-1] / 2.0):
            usable[busy[0]] = False
    wanted = float(table.prompt_tokens.sum() + table.output_tokens.sum())
    return ReplayResult(
        served_share=float((answers == 1).mean()),
        token_error=abs(tokens / wanted - 1.0),
        answered_twice=int((answers > 1).sum()),
        report=serving.report(chip_j=math.nan, plant_j=math.nan),
    )


def _jobs(fleet_map: FleetMap, *, disaggregated: bool) -> list[Mapping[str, JobSpec]]:
    """A sled a job: all of them serve, or some prefill for others that decode."""
    roles = [f"{_MODEL}:prefill"] * _PREFILL_SLEDS + [f"{_MODEL}:decode"] * _DECODE_SLEDS
    models = roles if disaggregated else [_MODEL] * _SERVE_SLEDS
    jobs: list[Mapping[str, JobSpec]] = [{} for _ in range(fleet_map.sleds)]
    for sled, model in enumerate(models):
        spec = JobSpec(
            job_id=f"replay-{sled}",
            attempt=1,
            model=model,
            chips=tuple(range(_CHIPS_PER_SLED)),
            tensor_parallel=_CHIPS_PER_SLED,
            gang=(fleet_map.sled_ids[sled],),
        )
        jobs[sled] = {spec.job_id: spec}
    return jobs


def _metrics(name: str, result: ReplayResult) -> dict[str, float]:
    report = result.report
    return {
        f"{name}_served_share": result.served_share,
        f"{name}_token_error": result.token_error,
        f"{name}_requests": float(report.arrived),
        f"{name}_retries": float(report.retries),
        f"{name}_prefix_hit_ratio": report.prefix_hit_ratio,
        f"{name}_ttft_p50_s": report.ttft.p50_s,
        f"{name}_ttft_p99_s": report.ttft.p99_s,
        f"{name}_tpot_p50_s": report.tpot.p50_s,
        f"{name}_tpot_p99_s": report.tpot.p99_s,
        f"{name}_queue_p99_s": report.queue.p99_s,
    }


def _first(table: TraceTable, count: int) -> TraceTable:
    return TraceTable(
        at_s=table.at_s[:count],
        prompt_tokens=table.prompt_tokens[:count],
        output_tokens=table.output_tokens[:count],
        blocks=table.blocks[:count],
        skipped=table.skipped,
        bad_lines=table.bad_lines,
    )


def _write_generated(path: Path, rng: np.random.Generator) -> None:
    """Half an hour of the built-in generator, in the form of the Azure trace."""
    drawn = GeneratedTraffic(rng).take(1_800.0)
    lines = [",".join(HEADER)]
    for offset_s, prompt, output in zip(
        drawn.offset_s.tolist(),
        drawn.prompt_tokens.tolist(),
        drawn.output_tokens.tolist(),
        strict=True,
    ):
        at = datetime(2023, 11, 16) + timedelta(seconds=offset_s)  # noqa: DTZ001 - trace time is naive
        lines.append(f"{at.isoformat(sep=' ')},{prompt},{output}")
    path.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n"))
