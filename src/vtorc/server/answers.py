"""The answers of our own routes: JSON with an ETag, and problems."""

import hashlib

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from vtorc.forms.base import Form
from vtorc.forms.fleet import ListForm
from vtorc.forms.frames import ProblemForm

JSON = "application/json"
PROBLEM = "application/problem+json"

_encoder = msgspec.json.Encoder()


def problem_answer(problem: ProblemForm) -> Response:
    """Return a refusal or an error as problem details (RFC 9457)."""
    return Response(_encoder.encode(problem), status_code=problem.status, media_type=PROBLEM)


def form_answer(request: Request, form: Form) -> Response:
    """Return a form as JSON with an ETag; 304 if the client has it already, and a problem with its own status."""
    if isinstance(form, ProblemForm):
        return problem_answer(form)
    body = _encoder.encode(form)
    # The revision of a list grows with each change anywhere, and a client that has the items needs no other copy.
    told = _encoder.encode(form.items) + str(form.cursor).encode() if isinstance(form, ListForm) else body
    tag = f'W/"{hashlib.blake2b(told, digest_size=12).hexdigest()}"'
    headers = {"etag": tag}
    if tag in _tags(request):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=JSON, headers=headers)


def raw_answer(body: bytes, status: int) -> Response:
    """Return what vtorc replied, which is a problem from status 400 on."""
    return Response(body, status_code=status, media_type=PROBLEM if status >= 400 else JSON)


def _tags(request: Request) -> list[str]:
    return [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
