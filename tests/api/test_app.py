from tests.api.builders import Running, make_view


def test_fleet(api: Running) -> None:
    api.hear(make_view(api.fleet_map))
    fleet = api.client.fleet()
    assert fleet["chips"] == 288
    assert fleet["totals"]["chips_reporting"] == 288
