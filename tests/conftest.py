from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import settings
from playwright.sync_api import BrowserContext

from isotherm.servers.kafka_broker import KafkaBroker
from isotherm.servers.postgres import PostgresServer, fresh_database
from tests.support.chromium import chromium
from tests.support.components import required

# How long an example takes says more of the host than of the code.
settings.register_profile("isotherm", deadline=None)
settings.load_profile("isotherm")


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[KafkaBroker]:
    """One broker for the whole run: take topic names that no other test takes."""
    with ExitStack() as stack:
        with required():
            broker = stack.enter_context(KafkaBroker())
        yield broker


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """SQLAlchemy address of a running server; `postgres_database_url` is what most tests want."""
    with ExitStack() as stack:
        with required():
            server = stack.enter_context(PostgresServer())
        yield server.url


@pytest.fixture
def postgres_database_url(postgres_url: str) -> Iterator[str]:
    """SQLAlchemy address of an empty database that only this test uses."""
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
def browser() -> Iterator[BrowserContext]:
    """A headless Chromium with an empty profile."""
    with ExitStack() as stack:
        with required():
            context = stack.enter_context(chromium())
        yield context
