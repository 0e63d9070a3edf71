from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from controller.store import Store
from fleet.errors import ConfigurationError, IsothermError
from isotherm.cli.export import export
from tests.controller.history.kept import keep, noise, times

SPAN: dict[str, Any] = {"since": "2025-10-09T09:00:00Z", "until": "2025-10-09T11:10:00+02:00"}


@pytest.fixture
def database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'i.db'}"
    store = Store(url)
    keep(store, "h1/cdu01", times(1, 120), {"supply_c": noise(1, 120)})
    store.close()
    return url


def test_a_file_is_written(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(tmp_path / "new" / "a.parquet", database=database, **SPAN)
    assert len(parquet.read_table(tmp_path / "new" / "a.parquet")) == 120
    assert "120 rows, 2025-10-09T09:00:00Z to 2025-10-09T09:01:59Z" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "options", "words"),
    [
        ("a.csv", {}, "end the name in .parquet or .arrow"),
        ("", {}, "is a folder"),
        ("i.db/a.parquet", {}, "can not be written: "),
        ("i.db", {"by": "hour"}, "needs a folder"),
        ("out", {"by": "day"}, "--by day: there is hour, metric"),
        ("out", {"format_": "csv"}, "--format csv: there is parquet, arrow"),
        ("a.parquet", {"database": "sqlite:////no/such.db"}, "there is no file /no/such.db"),
        ("a.parquet", {"since": "yesterday"}, "--from yesterday: not a time"),
        ("a.parquet", {"since": "2025-10-09T09:00:00"}, "say the offset"),
        ("a.parquet", {"since": "1900-01-01T00:00Z"}, "not between"),
        ("a.parquet", {"step_s": 7}, "no step of 7 s"),
        ("a.parquet", {"metric": ["warmth"]}, "unknown metric 'warmth'"),
    ],
)
def test_a_bad_wish_is_one_line(
    database: str, tmp_path: Path, out: str, options: dict[str, Any], words: str
) -> None:
    wish: dict[str, Any] = {"database": database, "format_": "", **SPAN, **options}
    if not out:
        wish["format_"] = "parquet"
    with pytest.raises(ConfigurationError, match=words):
        export(tmp_path / out, **wish)
    assert sorted(path.name for path in tmp_path.iterdir()) in (["i.db"], ["i.db", "out"])


def test_what_is_not_kept_is_said(database: str, tmp_path: Path) -> None:
    with pytest.raises(IsothermError, match=r"nothing of this is kept .*ticks begin at 2025-10-09"):
        export(tmp_path / "a.parquet", database=database, metric=["junction_c"], **SPAN)
    store = Store(database)
    with store.begin() as tx:
        tx.rollups.keep_ticks_since(2**61)
    store.close()
    with pytest.raises(IsothermError, match="--step-s 10"):
        export(tmp_path / "a.parquet", database=database, metric=["junction_c"], **SPAN)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".parquet"] == []


def test_a_fleet_that_is_larger_than_told_is_not_cut_short(database: str, tmp_path: Path) -> None:
    store = Store(database)
    keep(store, "h1/us07", times(36, 60), {"inlet_c": noise(36, 60)})
    store.close()
    with pytest.raises(ConfigurationError, match="history has h1/us07 too"):
        export(tmp_path / "a.parquet", database=database, **SPAN)
