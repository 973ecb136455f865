"""Calls to ZooKeeper with kazoo: its threads are kept behind an asyncio interface with a deadline for each call.

kazoo calls back in threads of its own; nothing of vtorc runs there, as each result goes to the event loop at once.
"""

import asyncio
import contextlib
import logging
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import (
    AuthFailedError,
    BadVersionError,
    ConnectionClosedError,
    ConnectionLoss,
    KazooException,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    OperationTimeoutError,
    SessionExpiredError,
    SessionMovedError,
)
from kazoo.protocol.states import KazooState, KeeperState, ZnodeStat
from kazoo.security import ACL, ANYONE_ID_UNSAFE, OPEN_ACL_UNSAFE, Permissions

from vtorc.config.topo_kinds import ZK_SERVERS, are_zk_servers
from vtorc.errors import TopoError, TopoMisconfigured
from vtorc.topo.endpoints import Endpoints, Transient
from vtorc.topo.zk_access import ZkAccess
from vtorc.topo.zk_sockets import ZkSockets


class ZkRefusal(Exception):
    """ZooKeeper's answer to a call that it did not carry out; `in_doubt` if an earlier try may have been."""

    def __init__(self, path: str, *, in_doubt: bool) -> None:
        super().__init__(path)
        self.in_doubt = in_doubt


class NodeMissing(ZkRefusal):
    """There is no such node."""


class NodeThere(ZkRefusal):
    """There is such a node already."""


class NodeOutdated(ZkRefusal):
    """The node has another version."""


class NodeFull(ZkRefusal):
    """There are nodes below the node."""


_REFUSALS: Mapping[type[KazooException], type[ZkRefusal]] = {
    NoNodeError: NodeMissing,
    NodeExistsError: NodeThere,
    BadVersionError: NodeOutdated,
    NotEmptyError: NodeFull,
}
_TRANSIENT = (ConnectionLoss, ConnectionClosedError, OperationTimeoutError, SessionExpiredError, SessionMovedError)
_CLOSE_SECONDS = 3.0
"""Most seconds that `close` waits until kazoo has ended its sessions."""

_CONNECTING_PART = 1 / 3
"""Part of a session's time within which each of the servers was tried once, so that a lock outlives dead ones."""
# As in Vitess (`go/vt/topo/zk2topo/utils.go`). Files lack the rights to create and delete nodes below them.
_DIRECTORY_ACL = OPEN_ACL_UNSAFE
_FILE_ACL = [ACL(Permissions.READ | Permissions.WRITE | Permissions.ADMIN, ANYONE_ID_UNSAFE)]

# kazoo logs each lost connection as a warning; vtorc tells calls that fail, with what to do.
_SILENT = logging.getLogger("vtorc.kazoo")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class ZkClient:
    """A client with one session of a ZooKeeper ensemble; every call ends within `timeout` s.

    A session that could not be taken up again before it must have ended is given up for a new one. A server that was
    set back to an older state would otherwise refuse this process for ever, as it has seen more than that server.
    """

    def __init__(self, address: str, *, timeout: float, access: ZkAccess) -> None:
        """Take addresses in Vitess' form; those after a vertical bar are for readers alone, and are left out.

        Raises TopoMisconfigured.
        """
        if not are_zk_servers(address):
            raise TopoMisconfigured(f"ZooKeeper servers {address!r}: expected {ZK_SERVERS}")
        hosts = (host.strip() for host in address.partition("|")[0].split(","))
        self._hosts = [f"localhost{host}" if host.startswith(":") else host for host in hosts if host]
        self._access = access
        self._auth = access.auth()
        self._endpoints = Endpoints(
            self._hosts,
            timeout=timeout,
            server=f"ZooKeeper ({', '.join(self._hosts)})",
            advice="check that it runs, has a leader and can be reached from here",
        )
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(access.max_concurrency)
        self._up = asyncio.Event()
        self._zk: KazooClient | None = None
        self._present = ""
        self._last_news = 0.0
        self._connect_seconds = access.session_timeout * _CONNECTING_PART / len(self._hosts)
        self._connecting: asyncio.TimerHandle | None = None
        self._credentials_refused = False
        self._giving_up: asyncio.TimerHandle | None = None
        self._session = 0
        self._granted = access.session_timeout
        self._answers: dict[asyncio.Future[Any], None] = {}
        self._watches: weakref.WeakSet[asyncio.Event] = weakref.WeakSet()
        self._closing: dict[asyncio.Task[None], None] = {}

    @property
    def session(self) -> int:
        """The id of the session in which the last answer came; 0 if there is none yet."""
        return self._session

    @property
    def session_seconds(self) -> float:
        """The time after which the ensemble ends a session that it hears nothing of, as it granted it."""
        return self._granted

    async def get(self, path: str, watch: asyncio.Event | None = None) -> tuple[bytes, ZnodeStat]:
        """Read a node; raises NodeMissing. `watch` is set at the next change, or when the connection breaks."""
        found: tuple[bytes, ZnodeStat] = (
            await self._call("read", lambda zk: zk.get_async(path, watch=self._watcher(watch)))
        )[0]
        return found

    async def exists(self, path: str, watch: asyncio.Event | None = None) -> ZnodeStat | None:
        """Read what is known of a node, None if there is none; `watch` as in `get`."""
        return (await self._call("read", lambda zk: zk.exists_async(path, watch=self._watcher(watch))))[0]

    async def children(self, path: str) -> Sequence[str]:
        """List the nodes directly below one; raises NodeMissing."""
        found: Sequence[str] = (await self._call("list", lambda zk: zk.get_children_async(path)))[0]
        return found

    async def sync(self, path: str) -> None:
        """Wait until the server that is asked knows all that the leader knows."""
        with contextlib.suppress(NodeMissing):
            await self._call("sync", lambda zk: zk.sync_async(path))

    async def create(self, path: str, contents: bytes, *, directory: bool = False) -> ZnodeStat:
        """Create a node and its parents; raises NodeThere."""
        acl = _DIRECTORY_ACL if directory else _FILE_ACL
        (_, stat), _ = await self._create(path, lambda zk: zk.create_async(path, contents, acl=acl, include_data=True))
        return stat

    async def create_numbered(self, prefix: str, contents: bytes) -> tuple[str, int, bool]:
        """Create a node that ends with the session, and name it by the next number after `prefix`.

        Returns its path, the transaction that created it, and whether an earlier try may have created another one.
        """
        (path, stat), in_doubt = await self._create(
            prefix,
            lambda zk: zk.create_async(
                prefix, contents, acl=_FILE_ACL, ephemeral=True, sequence=True, include_data=True
            ),
        )
        return str(path), int(stat.czxid), in_doubt

    async def set(self, path: str, contents: bytes, version: int) -> ZnodeStat:
        """Write a node with this version, -1 for any; raises NodeMissing or NodeOutdated."""
        return (await self._call("write", lambda zk: zk.set_async(path, contents, version=version)))[0]

    async def delete(self, path: str, version: int = -1) -> None:
        """Delete a node with this version; raises as `set`, or NodeFull."""
        await self._call("deletion", lambda zk: zk.delete_async(path, version=version))

    async def close(self) -> None:
        """End the session; calls under way raise TopoUnavailable."""
        self._endpoints.close()
        self._replace(None)
        self._up.set()
        if self._closing:
            await asyncio.wait(tuple(self._closing), timeout=_CLOSE_SECONDS)

    async def _create(self, path: str, start: Callable[[KazooClient], Any]) -> tuple[Any, bool]:
        while True:
            try:
                return await self._call("write", start)
            except NodeMissing:
                parent = path.rpartition("/")[0]
                with contextlib.suppress(NodeThere):
                    await self.create(parent, b"", directory=True)

    async def _call(self, what: str, start: Callable[[KazooClient], Any]) -> tuple[Any, bool]:
        outcome, in_doubt = await self._endpoints.call(what, lambda _, seconds: self._attempt(start, seconds))
        if refusal := _REFUSALS.get(type(outcome)):
            raise refusal(str(outcome), in_doubt=in_doubt) from outcome
        return outcome, in_doubt

    async def _attempt(self, start: Callable[[KazooClient], Any], seconds: float) -> Any:
        """Make one call; a refusal is an answer like any other."""
        sent = False
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._answers[answer] = None
        try:
            async with asyncio.timeout(seconds), self._slots:
                await self._connected()
                assert self._zk is not None
                sent = True
                start(self._zk).rawlink(lambda result: self._from_thread(self._settle, answer, result))
                return await answer
        except tuple(_REFUSALS) as refusal:
            return refusal
        except TimeoutError:
            self._leave_silent_server(seconds)
            if not sent and self._zk is not None and self._zk.handler.failure:
                raise Transient(self._zk.handler.failure, arrived=False) from None
            what = "no answer" if sent else "no session"
            raise Transient(f"{self._present}: {what} within {seconds:.3g} s", arrived=sent) from None
        except _TRANSIENT as error:
            raise Transient(f"{self._present}: {_text(error)}", arrived=sent) from error
        except (AuthFailedError, NoAuthError) as error:
            raise self._not_allowed(_text(error)) from error
        except KazooException as error:
            raise TopoError(f"{self._endpoints.server} answered a call with {_text(error)}") from error
        finally:
            del self._answers[answer]

    def _leave_silent_server(self, seconds: float) -> None:
        """Have kazoo try the next server, if the present one has told nothing for that long."""
        if self._zk is not None and self._loop.time() - self._last_news >= seconds:
            self._last_news = self._loop.time()
            self._zk.handler.cut()

    def _not_allowed(self, why: str) -> TopoError:
        return TopoError(
            f"{self._endpoints.server} refused a call: {why}; check topo_zk_auth_file and the ACLs of nodes"
        )

    async def _connected(self) -> None:
        if self._zk is None:
            self._endpoints.raise_if_closed()
            self._zk = self._start()
        await self._up.wait()
        self._endpoints.raise_if_closed()
        if self._credentials_refused:
            raise self._not_allowed("AuthFailedError")

    def _start(self) -> KazooClient:
        access = self._access
        tls: dict[str, Any] = (
            {"use_ssl": True, "certfile": access.cert, "keyfile": access.key, "ca": access.ca, "check_hostname": True}
            if access.uses_tls
            else {}
        )
        self._credentials_refused = False
        sockets = ZkSockets(
            connect_seconds=self._connect_seconds,
            on_begin=lambda address: self._from_thread(self._begin, sockets, address),
        )
        zk = KazooClient(
            hosts=",".join(self._hosts),
            timeout=access.session_timeout,
            handler=sockets,
            randomize_hosts=False,
            auth_data=[self._auth] if self._auth else None,
            connection_retry={"max_tries": -1, "delay": 0.1, "backoff": 2, "max_delay": 1.0},
            logger=_SILENT,
            **tls,
        )
        connect = zk._connection._connect

        def connect_and_tell(*arguments: Any) -> tuple[float, float]:
            read_timeout, connect_timeout = connect(*arguments)
            # kazoo has two thirds of it, in milliseconds.
            self._from_thread(self._on_session, zk, int(zk.client_id[0]), read_timeout * 3 / 2000)
            return read_timeout, connect_timeout

        # kazoo keeps to itself how long a session the ensemble grants; it derives its own timeouts from that.
        zk._connection._connect = connect_and_tell
        zk.add_listener(lambda state: self._from_thread(self._on_state, zk, state, zk.client_state))
        zk.start_async()
        self._give_up_later()
        return zk

    def _begin(self, sockets: ZkSockets, address: str) -> None:
        """Give an address its time for the session, too: a server that starts may forget a connection, and say nothing.

        ZooKeeper fails to close one that it cannot serve yet (`ZooKeeperServer.removeCnxn`), and kazoo waits there for
        as long as a session lives.
        """
        if self._zk is None or self._zk.handler is not sockets:
            return
        self._present = address
        self._last_news = self._loop.time()
        self._stop_waiting()
        self._connecting = self._loop.call_later(self._connect_seconds, sockets.cut)

    def _stop_waiting(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None

    def _on_session(self, zk: KazooClient, session: int, seconds: float) -> None:
        """Let calls go on, now that it is known how long the session lives without them."""
        if zk is not self._zk:
            return
        self._session = session
        self._granted = seconds
        self._last_news = self._loop.time()
        self._stop_waiting()
        self._up.set()
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _on_state(self, zk: KazooClient, state: str, reason: str) -> None:
        if zk is not self._zk or state == KazooState.CONNECTED:
            return
        self._up.clear()
        self._give_up_later()
        if reason == KeeperState.AUTH_FAILED:
            self._credentials_refused = True
            self._up.set()

    def _give_up_later(self) -> None:
        if self._giving_up is None:
            self._giving_up = self._loop.call_later(self._access.session_timeout, self._give_up)

    def _give_up(self) -> None:
        self._giving_up = None
        if self._zk is not None:
            self._replace(self._start())

    def _replace(self, zk: KazooClient | None) -> None:
        """Use another session from now on, and end the present one in a thread, as kazoo waits for that."""
        old, self._zk = self._zk, zk
        self._up.clear()
        if zk is None:
            self._stop_waiting()
        for watch in tuple(self._watches):
            watch.set()
        for answer in tuple(self._answers):
            if not answer.done():
                answer.set_exception(ConnectionClosedError("the session was given up"))
        if zk is None and self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None
        if old is not None:
            ended = asyncio.Event()
            # A thread of its own: those of the event loop are waited for at the end of the process.
            threading.Thread(
                target=self._end, args=(old, ended), name="end of a ZooKeeper session", daemon=True
            ).start()
            task = asyncio.create_task(_wait(ended), name="wait for the end of a ZooKeeper session")
            self._closing[task] = None
            task.add_done_callback(lambda done: self._closing.pop(done, None))

    def _end(self, zk: KazooClient, ended: asyncio.Event) -> None:
        with contextlib.suppress(Exception):
            zk.stop()
            zk.close()
        self._from_thread(ended.set)

    def _settle(self, answer: asyncio.Future[Any], result: Any) -> None:
        self._last_news = self._loop.time()
        if answer.done():
            return
        if result.successful():
            answer.set_result(result.value)
        else:
            answer.set_exception(result.exception)

    def _watcher(self, watch: asyncio.Event | None) -> Callable[[Any], None] | None:
        if watch is None:
            return None
        self._watches.add(watch)
        return lambda _: self._from_thread(watch.set)

    def _from_thread(self, call: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it all interest
            self._loop.call_soon_threadsafe(call, *arguments)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def _text(error: KazooException) -> str:
    return str(error) or type(error).__name__
