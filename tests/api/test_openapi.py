from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import (
    ignored_auth,
    load_all_checks,
    object_level_authorization,
    positive_data_acceptance,
)
from schemathesis.core.result import Ok

from tests.api.builders import Running, make_incident, make_job, make_view

EXAMPLES_PER_OPERATION = 10
# Made-up ids are well-formed and unknown: that is a 404, which the positive check knows. A gang
# that is no multiple of its tensor parallelism is a rule that a schema can not say.
LEFT_OUT = [positive_data_acceptance, ignored_auth, object_level_authorization]


@pytest.mark.slow
def test_every_operation_answers_as_its_document_says(api: Running) -> None:
    api.hear(make_view(api.fleet_map))
    with api.store.begin() as transaction:
        transaction.jobs.add(make_job())
        transaction.incidents.save(make_incident())
    load_all_checks()
    schema = schemathesis.openapi.from_url(f"{api.server.url}/api/v1/openapi.json")
    tried = 0
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()

        @settings(
            max_examples=EXAMPLES_PER_OPERATION,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def holds(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(excluded_checks=LEFT_OUT)

        holds()
        tried += 1
    assert tried > 20
