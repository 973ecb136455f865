"""Locks in Consul, as Vitess takes them (`go/vt/topo/consultopo/lock.go`, Consul `api/lock.go`).

The lock of directory D is the key `D/Lock`, held by a session that its holder renews. Requests for a lock stand in no
line: when the key is free, the first to acquire it has it. When a session ends without a release, Consul keeps the key
closed for the session's lock delay.
"""

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from vtorc.errors import LockHeld, LockLost, NoNode, TopoError
from vtorc.topo.conn import LOOK_AGAIN
from vtorc.topo.consul_access import ConsulAccess
from vtorc.topo.consul_client import ConsulClient
from vtorc.topo.lease import LeasedLock, OwnedLocks
from vtorc.topo.lock_contents import describe_lock

LOCK = "Lock"
"""Name of the lock's key in its directory."""

LOCK_FLAGS = 0x2DDCCBC058A50C18
"""Flags of a key that is a lock; with any other value Vitess takes the key for something else, and fails."""

_SESSION_NAME = "Consul API Lock"
_CONSISTENT = {"consistent": ""}
_RETRY_PAUSE = 1.0
"""Seconds between two attempts at a key that no session holds and that Consul keeps closed for its lock delay."""


class _LockKey(NamedTuple):
    """The lock's key as it is now; `session` is empty while the lock is free."""

    session: str
    flags: int
    contents: bytes


@dataclass(slots=True)
class Request:
    """A request for a lock; `holder` is the contents of the lock while another request holds it."""

    lock: LeasedLock
    lease: "_SessionLease"
    holder: bytes = b""


class _SessionLease:
    """The session of one request for a lock; `holds` once it has acquired the key."""

    def __init__(self, client: ConsulClient, session: str, key: str, contents: bytes) -> None:
        self._client = client
        self._key = key
        self._contents = contents
        self._session = session
        self.holds = False

    async def refresh(self) -> bool:
        """Renew the session; false if it has ended, or if it no longer holds the key that it held."""
        reply = await self._client.call("session renewal", "PUT", f"session/renew/{self._session}")
        if reply.status != 200:
            return False
        if not self.holds:
            return True
        key, _ = await read_key(self._client, self._key)
        return key is not None and key.session == self._session

    async def revoke(self) -> None:
        """Release and delete the key in one transaction, which leaves no lock delay; end the session."""
        await self._client.call(
            "release of a lock",
            "PUT",
            "txn",
            body=transaction(self.change("unlock"), operation("delete", self._key)),
        )
        await destroy_session(self._client, self._session)

    def change(self, verb: str) -> dict[str, dict[str, object]]:
        """Return the operation that locks or unlocks the key for this session."""
        return operation(verb, self._key, Value=encoded(self._contents), Flags=LOCK_FLAGS, Session=self._session)


class ConsulLocks:
    """Takes the locks of one connection."""

    def __init__(self, client: ConsulClient, locks: OwnedLocks, access: ConsulAccess) -> None:
        self._client = client
        self._locks = locks
        self._access = access

    async def begin(self, directory: str, contents: bytes, *, ttl: float | None, only_if_free: bool) -> Request:
        """Make a session for the lock of a directory; raises NoNode or, with `only_if_free`, LockHeld."""
        key = f"{directory}/{LOCK}"
        names = await self._client.call("list", "GET", f"kv/{directory}/", query={"keys": "", "separator": "/"})
        if not names.body:
            raise NoNode(directory)
        if only_if_free and key in names.body:
            found, _ = await read_key(self._client, key)
            if found is not None and found.session:
                raise LockHeld(directory, describe_lock(found.contents))
        seconds = self._access.session_ttl if ttl is None else ttl
        granted_at = asyncio.get_running_loop().time()
        lease = _SessionLease(self._client, await self._session(seconds), key, contents)
        return Request(self._locks.add(key, lease, ttl=seconds, granted_at=granted_at), lease)

    async def acquire_at_once(self, directory: str, request: Request) -> None:
        """Acquire the key now; raises LockHeld if another session has it."""
        if await self._acquire(request):
            return
        found, _ = await self._look(request)
        if found is None or not found.session:
            raise LockHeld(directory, "Consul's lock delay, as its last holder ended without a release")
        raise LockHeld(directory, describe_lock(found.contents))

    async def acquire(self, request: Request) -> None:
        """Wait until the key is ours; raises LockLost when our session ends meanwhile."""
        lost = asyncio.create_task(request.lock.lost.wait(), name="session lost")
        try:
            while True:
                found, index = await self._look(request)
                if found is not None and found.session:
                    request.holder = found.contents
                    await self._change(request, index, lost, LOOK_AGAIN)
                elif await self._acquire(request):
                    return
                else:
                    await self._change(request, index, lost, _RETRY_PAUSE)
        finally:
            lost.cancel()

    async def _look(self, request: Request) -> tuple[_LockKey | None, int]:
        found = await read_key(self._client, request.lock.key)
        _raise_if_lost(request)
        return found

    async def _acquire(self, request: Request) -> bool:
        reply = await self._client.call("lock", "PUT", "txn", body=transaction(request.lease.change("lock")))
        _raise_if_lost(request)
        request.lease.holds = reply.status == 200
        return request.lease.holds

    async def _change(self, request: Request, index: int, lost: asyncio.Task[Any], seconds: float) -> None:
        """Wait for a change of the key, for our session to be lost, or for some seconds."""
        changed = asyncio.create_task(
            self._client.wait(f"kv/{request.lock.key}", query=_CONSISTENT, index=index, wait=seconds),
            name=f"wait for {request.lock.key}",
        )
        try:
            await asyncio.wait((lost, changed), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            await asyncio.gather(changed, return_exceptions=True)

    async def _session(self, ttl: float) -> str:
        """Make a session; one that is made although the caller was cancelled is destroyed."""
        making = self._locks.tasks.start(self._create_session(ttl), "make a session for a lock")
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            self._locks.tasks.start(self._destroy_unwanted(making), "destroy an unwanted session")
            raise

    async def _create_session(self, ttl: float) -> str:
        wanted: dict[str, object] = {"Name": _SESSION_NAME, "TTL": _milliseconds(ttl)}
        if self._access.lock_delay:
            wanted["LockDelay"] = _milliseconds(self._access.lock_delay)
        if self._access.session_checks:
            wanted["Checks"] = self._access.session_checks
        reply = await self._client.call("session", "PUT", "session/create", body=json.dumps(wanted).encode())
        return str(reply.body["ID"])

    async def _destroy_unwanted(self, making: asyncio.Task[str]) -> None:
        await asyncio.wait((making,))
        if not making.cancelled() and making.exception() is None:
            await destroy_session(self._client, making.result())


async def destroy_session(client: ConsulClient, session: str) -> None:
    """End a session; does nothing if it has ended."""
    await client.call("session end", "PUT", f"session/destroy/{session}")


async def read_key(client: ConsulClient, key: str) -> tuple[_LockKey | None, int]:
    """Read a lock's key, None while it is free, and the index of that state; raises TopoError if another thing is
    there.
    """
    reply = await client.call("read of a lock", "GET", f"kv/{key}", query=_CONSISTENT)
    if reply.status == 404:
        return None, reply.at
    entry = reply.body[0]
    found = _LockKey(entry.get("Session") or "", entry["Flags"], base64.b64decode(entry["Value"] or ""))
    if found.flags != LOCK_FLAGS:
        raise TopoError(
            f"Consul has a key {key} that is no lock (its flags are {found.flags}, not {LOCK_FLAGS}): find out which "
            "program wrote it, and delete it"
        )
    return found, reply.at


def operation(verb: str, key: str, **fields: object) -> dict[str, dict[str, object]]:
    """Return one operation of a transaction."""
    return {"KV": {"Verb": verb, "Key": key, **fields}}


def transaction(*operations: dict[str, dict[str, object]]) -> bytes:
    """Return the body of a transaction."""
    return json.dumps(operations).encode()


def encoded(contents: bytes) -> str:
    """Return contents as a transaction has them."""
    return base64.b64encode(contents).decode()


def _raise_if_lost(request: Request) -> None:
    if request.lock.lost.is_set():
        raise LockLost(f"the session that asked for lock {request.lock.key} ended; ask for the lock again")


def _milliseconds(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
