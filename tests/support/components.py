"""Outside components (a broker, a database server, a browser): absent means skipped, aloud."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from isotherm.servers.components import MissingComponentError

REQUIRE_ALL_VARIABLE = "ISOTHERM_REQUIRE_ALL"


def require(component: str, reason: str) -> NoReturn:
    """Ends the running test because `component` can not be had: a skip, or with
    `ISOTHERM_REQUIRE_ALL=1` (as in continuous integration) a failure.
    """
    line = f"{component} is missing: {reason}"
    if os.environ.get(REQUIRE_ALL_VARIABLE) == "1":
        pytest.fail(f"{line} ({REQUIRE_ALL_VARIABLE}=1 forbids skipping)", pytrace=False)
    pytest.skip(line)


@contextmanager
def required() -> Iterator[None]:
    """Turns a `MissingComponentError` of the body into `require`'s skip or failure."""
    try:
        yield
    except MissingComponentError as missing:
        require(missing.component, missing.reason)
