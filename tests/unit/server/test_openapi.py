"""The description of /api/v1 is valid, and says what the routes answer."""

from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import given, settings, strategies
from openapi_spec_validator import validate

from tests.unit.server.told import WELL, RecordedAsk, ask_app, recovery, told_memory
from vtorc.desk.problems import DeskRefusal
from vtorc.forms.findings import SEVERITIES
from vtorc.forms.frames import ProblemForm
from vtorc.server.app import make_app
from vtorc.server.v1.endpoints import ReadEndpoint
from vtorc.server.v1.openapi import description
from vtorc.server.v1.reads import FindingsQuery
from vtorc.server.v1.table import READS

VALUES = strategies.sampled_from(["1", "-1", "name", "healthy", "9" * 5000]) | strategies.text(max_size=20)
SEGMENTS = strategies.text(min_size=1, max_size=20).filter(lambda text: text not in (".", ".."))
BODIES = strategies.sampled_from([{"kind": "planned"}, {"kind": "forced", "to": "x"}, {"reason": "x"}]) | (
    strategies.dictionaries(
        strategies.sampled_from(["kind", "to", "reason", "accept_loss", "other"]),
        strategies.none() | strategies.booleans() | strategies.integers() | strategies.text(),
    )
)
REFUSAL = DeskRefusal.argument("to", None, "an alias")
REFUSING = make_app(told_memory(), RecordedAsk(status=REFUSAL.form.status, body=REFUSAL.form))
DESCRIPTION = description("0.1.0")
VARIABLES = {
    "keyspace": WELL.partition("/")[0],
    "shard": WELL.partition("/")[2],
    "id": recovery(1).id,
    "name": "ci",
    "number": "1",
}
OPERATIONS = [
    (path, method)
    for path, operations in DESCRIPTION["paths"].items()
    for method in operations
    if not path.endswith("/events")  # it does not end
]


async def _description() -> Any:
    return (await ask_app(make_app(told_memory(), RecordedAsk()), "/api/v1/openapi.json")).json


async def test_the_description_is_valid() -> None:
    """It is an OpenAPI 3.1 description."""
    description = await _description()
    assert description["openapi"].startswith("3.1")
    validate(description)


@pytest.mark.parametrize("endpoint", READS, ids=lambda endpoint: endpoint.path)
async def test_each_answer_is_of_the_form_that_its_endpoint_names(endpoint: ReadEndpoint[Any]) -> None:
    """An answer can be read as its form, strictly, and as no other keys than those of the form."""
    path = endpoint.path.format(**VARIABLES)
    answer = await ask_app(make_app(told_memory(), RecordedAsk()), f"/api/v1{path}")
    assert answer.status == 200
    form = msgspec.json.decode(answer.body, type=endpoint.answer)
    assert msgspec.json.encode(form) == answer.body


async def test_a_problem_is_of_its_form() -> None:
    """A refusal can be read as a ProblemForm."""
    answer = await ask_app(make_app(told_memory(), RecordedAsk()), "/api/v1/shards/a/b")
    assert msgspec.json.decode(answer.body, type=ProblemForm).status == 404


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
@settings(max_examples=40)
@given(data=strategies.data())
async def test_each_answer_is_one_that_the_description_tells(
    path: str, method: str, data: strategies.DataObject
) -> None:
    """Whatever is asked for, status and type of the answer are in the description, also for a refusal of the desk."""
    operation = DESCRIPTION["paths"][path][method]
    names = [each["name"] for each in operation["parameters"] if each["in"] == "query"]
    query = data.draw(strategies.dictionaries(strategies.sampled_from([*names, "other"]), VALUES))
    answer = await ask_app(
        REFUSING,
        f"{path.format(**{name: quote(data.draw(SEGMENTS), safe='') for name in VARIABLES})}?{urlencode(query)}",
        method=method.upper(),
        headers={"content-type": "application/json"},
        body=data.draw(strategies.binary() | BODIES.map(msgspec.json.encode)),
    )
    told = operation["responses"][str(answer.status)]
    assert answer.headers["content-type"] in told["content"]


async def test_each_path_of_the_description_is_answered() -> None:
    """No path of the description is unknown to the routes."""
    app = make_app(told_memory(), RecordedAsk())
    for path, method in OPERATIONS:
        answer = await ask_app(app, path.format(**VARIABLES), method=method.upper())
        assert answer.status in (200, 415), path


def test_the_severities_of_a_query_are_those_of_findings() -> None:
    """Each severity of a finding can be asked for."""
    for severity in SEVERITIES:
        assert msgspec.convert({"severity": severity}, FindingsQuery).severity == severity
