"""The prefix of all paths of v12's listener (URLPrefix)."""

from collections.abc import Collection

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEY = "vtorc.prefix"


def prefix_of(scope: Scope) -> str:
    """Return the prefix that links of a page need; empty if the server has none."""
    prefix: str = scope.get(_KEY, "")
    return prefix


def path_of(scope: Scope) -> str:
    """Return the path of a request without the prefix, quoted as its client sent it: it can be put into a link."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("latin-1")


class Prefixed:
    """Wraps an application that knows nothing of a prefix."""

    def __init__(self, app: ASGIApp, prefix: str, bare: Collection[str]) -> None:
        """Take off `prefix`, such as `/orc`; the paths `bare` are taken without it as well."""
        self._app = app
        self._prefix = prefix
        self._bare = frozenset(bare)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on without the prefix; 404 for a path that has none."""
        raw = path_of(scope)
        if raw.rstrip("/") in self._bare:
            await self._app(scope, receive, send)
        elif raw == self._prefix or raw.startswith(f"{self._prefix}/"):
            # The prefix is in plain characters, so that it is as long in the decoded path.
            length = len(self._prefix)
            inner = {
                **scope,
                "path": scope["path"][length:] or "/",
                "raw_path": raw[length:].encode("latin-1") or b"/",
                _KEY: self._prefix,
            }
            await self._app(inner, receive, self._with_locations(send))
        else:
            told = f"404 page not found: all paths of this server begin with {self._prefix}\n"
            await PlainTextResponse(told, 404)(scope, receive, send)

    def _with_locations(self, send: Send) -> Send:
        """Put the prefix into redirections to paths of the application."""

        async def prefixed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("location", "").startswith("/"):
                    headers["location"] = self._prefix + headers["location"]
            await send(message)

        return prefixed
