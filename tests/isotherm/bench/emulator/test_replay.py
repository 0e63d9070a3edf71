from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emulator.serving.trace import read_trace
from isotherm.bench.emulator import replay

SEED = 4


@pytest.mark.parametrize("disaggregated", [False, True])
def test_a_generated_trace_is_served_exactly_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disaggregated: bool
) -> None:
    monkeypatch.setattr(replay, "_DATA", tmp_path)
    monkeypatch.setattr(replay, "_FAULT_EVERY_S", 7)
    rng = np.random.default_rng(SEED)
    with replay.traces(rng) as (paths, source):
        assert list(paths) == ["generated"]
        assert "no recorded one" in source
        whole = read_trace(paths["generated"])
    assert whole.skipped == 0
    count = 1_200
    table = replace(
        whole,
        at_s=whole.at_s[:count],
        prompt_tokens=whole.prompt_tokens[:count],
        output_tokens=whole.output_tokens[:count],
    )

    result = replay.run_e9(table, rng, disaggregated=disaggregated)

    assert result.served_share == 1.0
    assert result.token_error == 0.0
    assert result.answered_twice == 0
    assert result.report.retries > 0
