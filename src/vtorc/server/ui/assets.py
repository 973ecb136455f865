"""The style sheet and the modules of the pages: files of the package, with addresses that change with their content."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

_FOLDER = resources.files("vtorc.server.ui") / "static"

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

_FOR_EVER = "public, max-age=31536000, immutable"
"""A file of another content has another address, so that a browser need not ask again."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file that pages use."""

    body: bytes
    """Its content."""
    media_type: str
    """Its type."""


def _read() -> Mapping[str, Asset]:
    found: dict[str, Asset] = {}
    for file in sorted(_FOLDER.iterdir(), key=lambda file: file.name):
        media_type = next((kind for suffix, kind in _TYPES.items() if file.name.endswith(suffix)), None)
        if media_type is not None:
            found[file.name] = Asset(file.read_bytes(), media_type)
    return MappingProxyType(found)


ASSETS = _read()
"""All of them, by name."""

TAG = hashlib.blake2b(b"".join(asset.body for asset in ASSETS.values()), digest_size=6).hexdigest()
"""The begin of a hash of all files: a module names others beside it, so that they change their addresses together."""


def asset_path(name: str) -> str:
    """Return the path of a file, without the prefix of the server; raises KeyError for one that does not exist."""
    if name not in ASSETS:
        raise KeyError(name)
    return f"/ui/static/{TAG}/{name}"


async def answer_asset(request: Request) -> Response:
    """Answer with a file; a page of another version of vtorc gets today's file, which its browser must not keep."""
    asset = ASSETS.get(request.path_params["name"])
    if asset is None:
        return PlainTextResponse("404 page not found\n", status_code=404)
    is_current = request.path_params["tag"] == TAG
    headers = {"cache-control": _FOR_EVER if is_current else "no-cache"}
    return Response(asset.body, media_type=asset.media_type, headers=headers)
