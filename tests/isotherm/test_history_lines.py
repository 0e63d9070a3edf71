from isotherm.cli.history import lines


def test_a_series_is_a_row_for_each_time() -> None:
    series = {
        "id": "h1/us01/r1/s01/c0",
        "metric": "junction_c",
        "at_unix_s": [1_760_000_000.0, 1_760_000_010.0],
        "values": {"min": [50.0, None], "max": [51.0, 52.0]},
    }
    first, second = lines(series)
    assert first == {
        "at": "2025-10-09T08:53:20+00:00",
        "id": "h1/us01/r1/s01/c0",
        "metric": "junction_c",
        "min": 50.0,
        "max": 51.0,
    }
    assert second["min"] is None
