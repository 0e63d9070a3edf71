from pathlib import Path

import pytest

from fleet.errors import ConfigurationError
from fleet.kafka_options import FILE_VARIABLE, PASSWORD_VARIABLE, KafkaOptions, read_kafka_options
from fleet.topics import COMMANDS, TELEMETRY

BROKER = "broker.example:9093"


def settings(folder: Path, text: str) -> dict[str, str]:
    path = folder / "kafka.toml"
    path.write_text(text)
    return {FILE_VARIABLE: str(path)}


def test_a_file_says_how_topics_are_kept(tmp_path: Path) -> None:
    text = 'replication = 3\nmin_in_sync = 2\nretention_s = {"isotherm.telemetry" = 600}\n'
    options = read_kafka_options(BROKER, settings(tmp_path, text))
    assert (options.replication, options.min_in_sync) == (3, 2)
    assert options.kept_s(TELEMETRY) == 600.0
    assert options.kept_s(COMMANDS) == COMMANDS.retention_s


def test_without_a_file_nothing_is_asked_for() -> None:
    assert read_kafka_options(BROKER, {}) == KafkaOptions(bootstrap=BROKER)


def test_the_password_comes_from_its_file_or_the_environment_and_is_not_shown(
    tmp_path: Path,
) -> None:
    (tmp_path / "password").write_text("of-the-file\n")
    environment = settings(tmp_path, 'user = "a"\ntls = true\npassword_file = "password"\n')
    options = read_kafka_options(BROKER, environment)
    assert options.password == "of-the-file"
    assert "of-the-file" not in repr(options)
    other = read_kafka_options(BROKER, environment | {PASSWORD_VARIABLE: "of-the-environment"})
    assert other.password == "of-the-environment"


def test_what_the_process_gives_wins(tmp_path: Path) -> None:
    environment = settings(tmp_path, "connect_timeout_s = 30.0\n")
    assert read_kafka_options(BROKER, environment, connect_timeout_s=3.0).connect_timeout_s == 3.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("replicas = 3", r"kafka.toml .*no setting 'replicas', did you mean replication"),
        ("replication = 'three'", r"kafka.toml .*replication: Expected `int`, got `str`"),
        ("replication = 0", "replication 0 is below 1"),
        ("partitions = 0", "partitions 0 is not in 1..10000"),
        ("min_in_sync = 2", r"min_in_sync 2 is not in 1..1"),
        ("replication = \n", "kafka.toml .*line 1"),
        ('password = "x"', "no setting 'password'"),
        ('user = "a"', "over TLS only: set tls = true"),
        ('user = "a"\ntls = true', f"no password: set password_file or {PASSWORD_VARIABLE}"),
        ('user = "a"\ntls = true\npassword_file = "none"', "password_file .*none"),
        ('ca_file = "ca.pem"', "certificates are for TLS"),
        ('tls = true\ncertificate_file = "c.pem"', "certificate_file and key_file belong together"),
        ('retention_s = {"telemetry" = 5}', "there is no topic 'telemetry'; there are isotherm."),
        ('retention_s = {"isotherm.telemetry" = 0}', "retention_s of isotherm.telemetry is not"),
        ('broker_version = "new"', "broker_version 'new' is not like 3.9"),
        ("delivery_timeout_s = 0.0", "delivery_timeout_s is not above 0"),
    ],
)
def test_what_can_not_be_used_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_kafka_options(BROKER, settings(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none.toml \(ISOTHERM_KAFKA_CONFIG\): No such"):
        read_kafka_options(BROKER, {FILE_VARIABLE: str(tmp_path / "none.toml")})


def test_an_unreadable_authority_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    options = read_kafka_options(BROKER, settings(tmp_path, 'tls = true\nca_file = "ca.pem"\n'))
    with pytest.raises(ConfigurationError, match=r"certificates of .*ca.pem"):
        options.tls_context()
