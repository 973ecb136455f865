"""The gate before all routes: it lets clients in that may read, and notes whether they may act."""

from dataclasses import replace

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from vtorc.forms.access import Means, Role
from vtorc.forms.frames import ProblemForm
from vtorc.server.access import refusals
from vtorc.server.access.certificate import CERTIFICATE, Certificate
from vtorc.server.access.methods import Admission, access_method
from vtorc.server.access.rules import AccessRules, Method
from vtorc.server.access.visitor import CURRENT, Visitor
from vtorc.server.answers import problem_answer
from vtorc.server.permission import origin_of
from vtorc.server.probes import FIRST_PAGE, PROBES

OPEN_PATHS = PROBES | {FIRST_PAGE}
"""Paths that container platforms ask, which know no password; they tell nothing of a shard."""

KEY_HEADER = "idempotency-key"
"""The header with the client's key for a request: a request that is sent again is carried out once."""


class Gate:
    """Wraps an application."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app = app
        self._rules = rules
        self._method = access_method(rules)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on with its visitor noted, or answer why the client may not even read."""
        connection = HTTPConnection(scope)
        admission = await self._admit(connection)
        if isinstance(admission, ProblemForm):
            await _answer(scope["path"], admission)(scope, receive, send)
            return
        token = CURRENT.set(admission)
        try:
            await self._app(scope, receive, send)
        finally:
            CURRENT.reset(token)

    async def _admit(self, connection: HTTPConnection) -> Admission:
        path, method = connection.scope["path"], connection.scope["method"]
        is_status = path.rstrip("/") == self._rules.status_endpoint.rstrip("/")
        needs_unit = self._rules.units is not None and (not is_status or self._rules.status_needs_unit)
        if method in ("GET", "HEAD") and (path in OPEN_PATHS or (is_status and not needs_unit)):
            return Visitor(origin=origin_of(connection), means=Means.UNKNOWN, refusal=refusals.probe())
        certificate = self._certificate(connection)
        if needs_unit and certificate is None:
            return refusals.no_certificate()
        admission = await self._method.admit(connection)
        if isinstance(admission, ProblemForm):
            return admission
        if certificate is not None and self._rules.method is Method.NONE:
            admission = Visitor(
                origin=admission.origin, means=Means.CERTIFICATE, name=certificate.name, role=Role.ADMIN
            )
        if self._rules.read_only:
            admission = replace(admission, role=Role.READ, refusal=refusals.read_only())
        return replace(admission, key=connection.headers.get(KEY_HEADER, ""))

    def _certificate(self, connection: HTTPConnection) -> Certificate | None:
        """Return the certificate of the client; None if it has none of the units that may use the server."""
        certificate = connection.scope.get("state", {}).get(CERTIFICATE)
        if not isinstance(certificate, Certificate) or not set(certificate.units) & set(self._rules.units or ()):
            return None
        return certificate


def _answer(path: str, problem: ProblemForm) -> Response:
    """Return a refusal in the words of the dialect of its path; v12's client takes anything but JSON for no server."""
    if path.startswith("/api/v1/"):
        answer = problem_answer(problem)
    elif path.startswith("/api/"):
        told = {"Code": "ERROR", "Message": "Unauthorized", "Details": _sentence(problem)}
        answer = Response(msgspec.json.encode(told), problem.status, media_type="application/json")
    else:
        answer = PlainTextResponse(f"{_sentence(problem)}\n", problem.status)
    if problem.status == 401:
        answer.headers["www-authenticate"] = 'Basic realm="vtorc", charset="UTF-8"'
    return answer


def _sentence(problem: ProblemForm) -> str:
    return f"{problem.what}: {problem.why}; {problem.do}"
