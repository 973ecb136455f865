"""The gate before all routes: it lets clients in that may read, and notes whether they may act."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from vtorc.forms.access import Caller, Means, Role
from vtorc.forms.frames import ProblemForm
from vtorc.server.access import refusals
from vtorc.server.access.certificate import CERTIFICATE, Certificate
from vtorc.server.access.methods import Admission, access_method
from vtorc.server.access.rules import AccessRules, Method
from vtorc.server.access.tokens import TokenCheck, bearer_of
from vtorc.server.access.visitor import CURRENT, Visitor
from vtorc.server.answers import problem_answer
from vtorc.server.permission import ANONYMOUS, origin_of
from vtorc.server.probes import FIRST_PAGE, PROBES
from vtorc.server.today.access import PathRole, denial

OPEN_PATHS = PROBES | {FIRST_PAGE}
"""Paths that container platforms ask, which know no password; they tell nothing of a shard."""

METRICS_PATHS = frozenset({"/metrics", "/debug/vars"})
"""Paths that no security policy denies, as in Vitess."""

LOG_IN = "log in"
"""The action of a client that showed a wrong password or token, in audit entries."""

_NO_PASSWORD = 'Basic realm="vtorc", charset="UTF-8"'
_WRONG_TOKEN = 'Bearer realm="vtorc", error="invalid_token"'

KEY_HEADER = "idempotency-key"
"""The header with the client's key for a request: a request that is sent again is carried out once."""

LONGEST_KEY = 200
"""Most characters of such a key; a longer one is refused, as a part of it could stand for another request."""


class Gate:
    """Wraps an application."""

    def __init__(
        self,
        app: ASGIApp,
        rules: AccessRules,
        tokens: TokenCheck,
        report: Callable[[str, Caller, ProblemForm], None],
        *,
        policy: str = "",
    ) -> None:
        """Let in by `rules`, `tokens` and the security `policy`, which is empty for none.

        `report` is told of each client that shows a wrong password or token.
        """
        self._policy = policy
        self._app = app
        self._rules = rules
        self._tokens = tokens
        self._report = report
        self._method = access_method(rules)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on with its visitor noted, or answer why the client may not even read."""
        connection = HTTPConnection(scope)
        if (why := self._denial(scope["path"])) is not None:
            await _denied(scope["path"], why)(scope, receive, send)
            return
        admission = await self._admit(connection)
        if isinstance(admission, ProblemForm):
            self._report_failed(connection, admission)
            await _answer(scope["path"], admission, connection)(scope, receive, send)
            return
        token = CURRENT.set(admission)
        try:
            await self._app(scope, receive, send)
        finally:
            CURRENT.reset(token)

    def _denial(self, path: str) -> str | None:
        """Return why the security policy denies all clients a path; None if it does not."""
        is_open = path in OPEN_PATHS | METRICS_PATHS or path.rstrip("/") == self._rules.status_endpoint.rstrip("/")
        return None if is_open else denial(PathRole.MONITORING, self._policy)

    async def _admit(self, connection: HTTPConnection) -> Admission:
        path, method = connection.scope["path"], connection.scope["method"]
        is_status = path.rstrip("/") == self._rules.status_endpoint.rstrip("/")
        needs_unit = self._rules.units is not None and (not is_status or self._rules.status_needs_unit)
        if method in ("GET", "HEAD") and (path in OPEN_PATHS or (is_status and not needs_unit)):
            return Visitor(origin=origin_of(connection), means=Means.UNKNOWN, refusal=refusals.probe())
        certificate = self._certificate(connection)
        if needs_unit and certificate is None:
            return refusals.no_certificate()
        admission = await self._known(connection, certificate)
        if isinstance(admission, ProblemForm):
            return admission
        if self._policy:
            admission = replace(admission, role=Role.READ, refusal=refusals.policy())
        if self._rules.read_only:
            admission = replace(admission, role=Role.READ, refusal=refusals.read_only())
        key = connection.headers.get(KEY_HEADER, "")
        return replace(admission, key=key) if len(key) <= LONGEST_KEY else refusals.long_key(LONGEST_KEY)

    async def _known(self, connection: HTTPConnection, certificate: Certificate | None) -> Admission:
        """Return the client by its token, if it sends one, else by the method of the rules."""
        if (token := bearer_of(connection.headers.get("authorization", ""))) is not None:
            return self._tokens.admit(token, origin_of(connection))
        admission = await self._method.admit(connection)
        if certificate is None or self._rules.method is not Method.NONE or isinstance(admission, ProblemForm):
            return admission
        return Visitor(origin=admission.origin, means=Means.CERTIFICATE, name=certificate.name, role=Role.ADMIN)

    def _report_failed(self, connection: HTTPConnection, problem: ProblemForm) -> None:
        """Report a client that showed something wrong; one that showed nothing, as browsers do first, is no news."""
        if "authorization" in connection.headers and problem.status in (401, 429):
            caller = Caller(actor=ANONYMOUS, origin=origin_of(connection), means=Means.UNKNOWN, role=Role.NONE)
            self._report(LOG_IN, caller, problem)

    def _certificate(self, connection: HTTPConnection) -> Certificate | None:
        """Return the certificate of the client; None if it has none of the units that may use the server."""
        certificate = connection.scope.get("state", {}).get(CERTIFICATE)
        if not isinstance(certificate, Certificate) or not set(certificate.units) & set(self._rules.units or ()):
            return None
        return certificate


def _denied(path: str, why: str) -> Response:
    if path.startswith("/api/v1/"):
        return problem_answer(refusals.denied(why))
    return PlainTextResponse(f"Access denied: {why}\n", 403, headers={"x-content-type-options": "nosniff"})


def _answer(path: str, problem: ProblemForm, connection: HTTPConnection) -> Response:
    """Return a refusal in the words of the dialect of its path; v12's client takes anything but JSON for no server."""
    if path.startswith("/api/v1/"):
        answer = problem_answer(problem)
    elif path.startswith("/api/"):
        told = {"Code": "ERROR", "Message": "Unauthorized", "Details": _sentence(problem)}
        answer = Response(msgspec.json.encode(told), problem.status, media_type="application/json")
    else:
        answer = PlainTextResponse(f"{_sentence(problem)}\n", problem.status)
    if problem.status == 401:
        has_token = bearer_of(connection.headers.get("authorization", "")) is not None
        answer.headers["www-authenticate"] = _WRONG_TOKEN if has_token else _NO_PASSWORD
    return answer


def _sentence(problem: ProblemForm) -> str:
    return f"{problem.what}: {problem.why}; {problem.do}"
