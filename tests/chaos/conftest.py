import gc
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from isotherm.servers.kafka_cluster import KafkaCluster
from tests.support.components import required


@pytest.fixture(scope="session")
def cluster() -> Iterator[KafkaCluster]:
    """Three brokers for all of these tests: leave them running, and take a loop of your own."""
    with ExitStack() as stack:
        with required():
            made = stack.enter_context(KafkaCluster())
        yield made


@pytest.fixture(autouse=True)
def _sockets_of_refused_connections(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """kafka-python lets go of them without closing them; that is not what is tested here. What it
    logs of them would keep them until the tests end.
    """
    caplog.set_level(logging.CRITICAL + 1, "kafka")
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
