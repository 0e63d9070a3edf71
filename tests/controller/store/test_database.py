import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from controller.store import Store
from controller.store.engine import parse_url
from controller.store.tables import METADATA
from fleet.errors import ConfigurationError, StoreError
from tests.controller.builders import make_job


def test_migrations_build_exactly_the_tables(store: Store) -> None:
    with store._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_several_processes_may_start_at_once(database_url: str) -> None:
    opened: list[Store] = []
    errors: list[Exception] = []

    def start() -> None:
        try:
            opened.append(Store(database_url))
        except Exception as error:  # noqa: BLE001 - asserted to be none
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in opened:
        one.close()
    assert errors == []
    assert len(opened) == 4


def test_a_failed_transaction_writes_nothing(store: Store) -> None:
    def fail() -> None:
        with store.begin() as tx:
            tx.jobs.add(make_job())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with store.read() as tx:
        assert tx.jobs.get("job-1") is None


def test_undo_writes_nothing(store: Store) -> None:
    with store.begin() as tx:
        tx.jobs.add(make_job())
        tx.undo()
    with store.read() as tx:
        assert tx.jobs.get("job-1") is None


def test_threads_that_write_at_once_all_succeed(store: Store) -> None:
    errors: list[Exception] = []

    def write(thread_number: int) -> None:
        try:
            for number in range(20):
                with store.begin() as tx:
                    tx.jobs.unfinished()  # read, then write: what deferred transactions fail at
                    tx.jobs.add(make_job(id=f"job-{thread_number}-{number}"))
        except Exception as error:  # noqa: BLE001 - asserted to be none
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with store.read() as tx:
        assert len(tx.jobs.unfinished()) == 80


def test_what_was_written_is_there_after_a_restart(database_url: str) -> None:
    first = Store(database_url)
    with first.begin() as tx:
        tx.jobs.add(make_job())
    first.close()
    second = Store(database_url)
    with second.read() as tx:
        assert tx.jobs.get("job-1") == make_job()
    second.close()


def test_a_missing_server_is_one_line_without_the_password() -> None:
    with pytest.raises(StoreError) as caught:
        Store("postgresql://ana:topsecret@127.0.0.1:1/isotherm")
    line = str(caught.value)
    assert "127.0.0.1:1" in line
    assert "isotherm" in line
    assert "topsecret" not in line
    assert "\n" not in line


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no folder"):
        Store(f"sqlite:///{tmp_path}/absent/isotherm.db")


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"this is not a database, " * 100)
    with pytest.raises(StoreError, match="not a database"):
        Store(f"sqlite:///{tmp_path}/x.db")


@pytest.mark.parametrize(
    "text", ["", "nonsense", "mysql://ana:topsecret@h/x", "sqlite://", "sqlite:///:memory:"]
)
def test_addresses_that_can_not_be_used(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_url(text)
    assert "topsecret" not in str(caught.value)


def test_the_usual_spellings_of_postgresql_mean_one_driver() -> None:
    spellings = ("postgresql", "postgres", "postgresql+psycopg")
    drivers = {parse_url(f"{name}://h/x").drivername for name in spellings}
    assert drivers == {"postgresql+psycopg"}


@pytest.mark.postgresql
def test_a_question_that_takes_too_long_is_given_up_and_the_next_is_answered(
    postgres_database_url: str,
) -> None:
    store = Store(postgres_database_url, patience_s=0.3)
    with pytest.raises(StoreError), store.begin() as tx:
        tx._connection.execute(text("SELECT pg_sleep(20)"))
    store.ping()
    patient = store.beside(60.0)
    with patient.begin() as tx:
        tx._connection.execute(text("SELECT pg_sleep(0.5)"))
    patient.close()
    store.close()
