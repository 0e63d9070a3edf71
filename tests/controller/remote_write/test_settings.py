from pathlib import Path

import pytest

from controller.remote_write.settings import (
    FILE_VARIABLE,
    TOKEN_VARIABLE,
    Breadth,
    read_remote_write,
)
from fleet.errors import ConfigurationError

URL = 'url = "http://u:geheim@prometheus:9090/api/v1/write"\n'


def test_off_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    assert read_remote_write() is None


def test_a_file_says_where_and_what(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "remote.toml"
    file.write_text(URL + 'breadths = ["sled"]\nmetrics = ["junction_c"]\nevery_s = 5\n')
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    monkeypatch.setenv(TOKEN_VARIABLE, "geheim")
    settings = read_remote_write()
    assert settings is not None
    assert settings.breadths == (Breadth.SLED,)
    assert (settings.metrics, settings.every_s) == (("junction_c",), 5)
    assert settings.place == "http://prometheus:9090/api/v1/write"
    assert settings.token == "geheim"
    assert "Bearer" not in repr(settings)
    assert "token" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "url"),
        ('url = "prometheus:9090"', "url is not an address"),
        ('url = "ftp://a/b"', "url is not an address"),
        (URL + 'breadths = ["hall"]', "hall"),
        (URL + "breadths = []", "names none"),
        (URL + 'metrics = ["junction"]', "did you mean junction_c"),
        (URL + 'metrics = ["hbm_ecc_corrected_total"]', "exact counter"),
        (URL + "every_s = 0", "every_s"),
        (URL + "queue_requests = -1", "queue_requests"),
        (URL + 'every_s = "often"', "every_s"),
        (URL + 'token = "x"', "there is no 'token'"),
        (URL + "interval = 3", "there is no 'interval'; there are breadths, every_s"),
        ("url = ", "remote.toml"),
    ],
)
def test_a_file_that_can_not_be_used_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "remote.toml"
    file.write_text(text)
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    with pytest.raises(ConfigurationError, match=words) as caught:
        read_remote_write()
    assert "geheim" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE_VARIABLE, "/no/such.toml")
    with pytest.raises(ConfigurationError, match=r"/no/such.toml: No such file"):
        read_remote_write()
