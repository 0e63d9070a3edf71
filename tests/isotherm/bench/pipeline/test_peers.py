from types import SimpleNamespace

import pytest

from isotherm.bench.pipeline import peers
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
