import signal
import subprocess
from pathlib import Path

import psycopg
import pytest
from kafka import KafkaConsumer, KafkaProducer
from playwright.sync_api import BrowserContext

from isotherm.servers import kafka_jars, processes
from isotherm.servers.components import MissingComponentError
from isotherm.servers.kafka_broker import KafkaBroker
from isotherm.servers.postgres import libpq
from tests.support.components import REQUIRE_ALL_VARIABLE, require, required

SHUTDOWN_S = 20


def test_an_absent_component_skips_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRE_ALL_VARIABLE, raising=False)
    with pytest.raises(pytest.skip.Exception, match="Chromium is missing: not on PATH"):
        require("Chromium", "not on PATH")


def test_continuous_integration_fails_instead_of_skipping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRE_ALL_VARIABLE, "1")
    with pytest.raises(pytest.fail.Exception, match="Chromium is missing: not on PATH"):
        require("Chromium", "not on PATH")


def test_a_missing_component_reaches_require(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRE_ALL_VARIABLE, raising=False)
    with pytest.raises(pytest.skip.Exception, match="Java is missing: too old"), required():
        raise MissingComponentError("Java", "too old")


def test_no_java_is_a_missing_component(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingComponentError, match="Java is missing"):
        kafka_jars.find_java()


def test_a_changed_jar_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "a.jar").write_bytes(b"good")
    (tmp_path / "b.jar").write_bytes(b"good")
    expected = kafka_jars.hashes_of(tmp_path)
    (tmp_path / "a.jar").write_bytes(b"bad")
    (tmp_path / "c.jar").write_bytes(b"foreign")
    (tmp_path / "b.jar").unlink()
    assert kafka_jars.differences(tmp_path, expected) == ["a.jar", "b.jar", "c.jar"]


def test_without_maven_a_spoilt_cache_is_a_missing_component(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingComponentError, match="Maven is missing"):
        kafka_jars.ensure_jars(tmp_path / "kafka")


def test_recorded_jars_are_of_the_pinned_version() -> None:
    names = kafka_jars.read_hashes(kafka_jars.HASHES)
    assert f"kafka-clients-{kafka_jars.kafka_version()}.jar" in names


def test_a_server_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(["sh", "-c", "echo no such disk; exit 3"], stdout=output)
    with pytest.raises(processes.StartError, match=r"code 3; log ends:\nno such disk"):
        processes.wait_until(lambda: False, process, log, timeout_s=SHUTDOWN_S)


def test_a_stopped_process_is_ended(tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "600"])
    process.send_signal(signal.SIGSTOP)
    processes.end(process)
    assert process.returncode == -signal.SIGTERM


@pytest.mark.kafka
def test_the_broker_gives_back_what_it_was_given(kafka_broker: KafkaBroker) -> None:
    topic = "house-components"
    producer = KafkaProducer(bootstrap_servers=kafka_broker.bootstrap)
    producer.send(topic, key=b"loop-0", value=b"22.5").get(timeout=SHUTDOWN_S)
    producer.close()
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=kafka_broker.bootstrap,
        auto_offset_reset="earliest",
        consumer_timeout_ms=SHUTDOWN_S * 1000,
    )
    record = next(iter(consumer))
    consumer.close()
    assert (record.key, record.value) == (b"loop-0", b"22.5")


@pytest.mark.postgresql
def test_each_test_gets_its_own_database(postgres_database_url: str, postgres_url: str) -> None:
    assert postgres_database_url != postgres_url
    with psycopg.connect(libpq(postgres_database_url)) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
        tables = connection.execute("select count(*) from pg_tables where schemaname = 'public'")
        assert tables.fetchone() == (0,)


@pytest.mark.chromium
def test_the_browser_runs_a_page(browser: BrowserContext) -> None:
    page = browser.new_page()
    page.set_content("<h1>isotherm</h1>")
    assert page.evaluate("document.querySelector('h1').textContent") == "isotherm"
