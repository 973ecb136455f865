"""The end of a client that takes nothing: its connection is cut off, as an answer cannot be ended in order."""

from starlette.types import Receive, Scope

CUT_OFF = "cut_off"
"""The key of the function, in the state of a request, that ends the connection of the request at once."""


class SlowClient(Exception):
    """A client took no part of an answer for too long."""


async def cut_off(scope: Scope, receive: Receive) -> None:
    """End the connection of a request, and return once the request knows of it.

    uvicorn would log an error for each answer that is neither ended nor cut off, and wait for the client to take the
    rest.
    """
    end = scope.get("state", {}).get(CUT_OFF)
    if end is None:
        return
    end()
    while (await receive())["type"] != "http.disconnect":
        pass
