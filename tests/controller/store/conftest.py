from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.store import Store


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind: every test of the store holds on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/isotherm.db"
    url: str = request.getfixturevalue("postgres_database_url")
    return url


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = Store(database_url)
    yield opened
    opened.close()
