import pytest

from api.options import ApiOptions
from fleet.errors import ConfigurationError


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.0.1"])
def test_loopback_needs_no_permission(host: str) -> None:
    ApiOptions(host=host).validate()


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.7", "::", "desk.example.org", ""])
def test_other_hosts_need_it(host: str) -> None:
    with pytest.raises(ConfigurationError, match="--allow-remote"):
        ApiOptions(host=host).validate()
    ApiOptions(host=host, allow_remote=True).validate()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (ApiOptions(port=70000), "port"),
        (ApiOptions(tick_s=0), "tick_s"),
        (ApiOptions(live_fresh_s=float("nan")), "live_fresh_s"),
        (ApiOptions(max_unacked_ticks=0), "max_unacked_ticks"),
        (ApiOptions(page_limit=2000), "page_limit"),
    ],
)
def test_bad_settings_are_named(options: ApiOptions, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        options.validate()
