"""The kinds of endpoints of `/api/v1`: their properties say all that routing and description need."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import msgspec

from vtorc.forms.access import Role
from vtorc.forms.base import Form
from vtorc.forms.frames import ProblemForm
from vtorc.server.history_file import HistoryFile
from vtorc.server.memory import ServerMemory

PREFIX = "/api/v1"


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a query; an unknown one is refused, as a misspelt filter would show too much."""


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON object in the body of a request; an unknown key is refused."""


Q = TypeVar("Q", bound=Query)
B = TypeVar("B", bound=Body)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEndpoint(Generic[Q]):
    """A GET that is answered from memory."""

    path: str
    """The path after `/api/v1`, with its variables in braces."""
    summary: str
    """The result, as one sentence."""
    query: type[Q]
    """The parameters that it takes."""
    answer: Any
    """The type of the form that it returns."""
    read: Callable[[ServerMemory, Mapping[str, str], Q, float], Form]
    """Returns the form, or a `ProblemForm`, from the memory, the variables of the path, the query, and the time in
    seconds on the monotonic clock."""
    problems: tuple[int, ...] = ()
    """The statuses of problems that are particular to it."""
    role: Role = Role.READ
    """The least role that is answered."""
    all_keyspaces: bool = False
    """Whether it is about all keyspaces, so that clients of some are refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEndpoint(Generic[Q]):
    """A GET that is answered from memory and from the history file."""

    path: str
    """The path after `/api/v1`, with its variables in braces."""
    summary: str
    """The result, as one sentence."""
    query: type[Q]
    """The parameters that it takes."""
    answer: Any
    """The type of the form that it returns."""
    read: Callable[[ServerMemory, HistoryFile, Mapping[str, str], Q, float], Awaitable[Form]]
    """Returns the form, or a `ProblemForm`; takes what that of a `ReadEndpoint` does, and the history file."""
    problems: tuple[int, ...] = ()
    """The statuses of problems that are particular to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardEndpoint(Generic[B]):
    """A POST or DELETE that vtorc itself answers."""

    path: str
    """The path after `/api/v1`, with its variables in braces."""
    summary: str
    """Its effect, as one sentence."""
    body: type[B]
    """The object that it takes."""
    kind: str
    """The kind of the request to vtorc."""
    arguments: Callable[[Mapping[str, str], B], dict[str, object]]
    """Returns the arguments of that request."""
    status: int
    """The status of success."""
    answer: Any
    """The type of the form that vtorc replies with."""
    problems: tuple[int, ...]
    """The statuses of problems that are particular to it."""
    method: Literal["POST", "DELETE"] = "POST"
    """The method; DELETE takes a body as well, with the reason."""


class NoQuery(Query, frozen=True, kw_only=True):
    """No parameters."""


def bad_input(part: str, error: str, *, allowed: tuple[str, ...]) -> ProblemForm:
    """Return the problem with a query or a body; `error` names what was expected, and where."""
    names = ", ".join(allowed) or "nothing"
    return ProblemForm(
        title=f"bad {part}",
        status=400,
        what=f"the {part} cannot be used: {error}",
        why=f"the {part} of this request takes {names}",
        do=f"correct it; {PREFIX}/openapi.json describes each request",
    )
