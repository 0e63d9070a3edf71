from io import StringIO
from types import SimpleNamespace

import msgspec
import pytest
from rich.console import Console

from isotherm.bench.pipeline import durable, peers
from isotherm.bench.pipeline.recorded import Recorded
from isotherm.bench.report import Case, print_table, to_json
from isotherm.servers.processes import StartError

TOLD = """# HELP vm_rows_inserted_total rows
vm_rows_inserted_total{type="promremotewrite"} 1.2e3
vm_rows_inserted_total{type="native"} 0
vm_rows_ignored_total{reason="small_timestamp"} 200
"""


@pytest.mark.parametrize(("sent", "refused"), [(1000, False), (1001, True)])
def test_a_server_that_throws_samples_away_is_no_peer(
    monkeypatch: pytest.MonkeyPatch, sent: int, refused: bool
) -> None:
    answering = SimpleNamespace(get=lambda *_, **__: SimpleNamespace(text=TOLD))
    monkeypatch.setattr(peers, "httpx", answering)
    if refused:
        with pytest.raises(StartError, match="kept 1000 of 1001"):
            peers._check_kept("http://peer", "vm_rows_inserted_total", sent)
    else:
        peers._check_kept("http://peer", "vm_rows_inserted_total", sent)


def test_a_peer_that_could_not_be_measured_is_said_in_table_and_json(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def one_of_two(name: str, recorded: Recorded, *, ticks: int) -> float:
        if name == "prometheus":
            return 2.0
        raise StartError("ended with code 1")

    monkeypatch.setattr(durable, "measure_peer", one_of_two)
    found, remarks = durable.peers(Recorded(schemas=(), slabs=()), 10.0, quick=True)
    assert found == {"prometheus_samples_per_s_per_core": 2.0, "ratio_prometheus": 5.0}
    assert remarks == ["victoriametrics was not measured: ended with code 1"]
    case = Case(id="P1", title="t", metrics=found, remarks=remarks)
    console = Console(record=True, width=200, file=StringIO())
    print_table(console, "pipeline", [case])
    assert f"P1: {remarks[0]}" in console.export_text()
    assert msgspec.json.decode(to_json("pipeline", [case]))["cases"][0]["remarks"] == remarks
