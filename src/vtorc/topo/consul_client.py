"""Calls to Consul's HTTP API by one or several of its agents, each with a deadline (Consul `agent/http.go`)."""

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
from yarl import URL

from vtorc.config.topo_kinds import HOST_PORTS, are_host_ports
from vtorc.errors import TopoError, TopoMisconfigured
from vtorc.topo.consul_access import ConsulAccess
from vtorc.topo.endpoints import Endpoints, Transient

_REFUSED = frozenset((400, 401, 403, 405, 413))
"""Statuses of a request that no other agent would grant; 404 and 409 are answers."""

_LONGEST_TEXT = 300
"""Most bytes of an answer that an error quotes."""


class ConsulReply(NamedTuple):
    """An answer: its status, its decoded body, the index at which it was true, and whether it may be the second one.

    The body is None unless it is JSON. At a second answer the request may have been carried out at the first.
    """

    status: int
    body: Any
    at: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class _Agent:
    address: str
    base: str
    tls: ssl.SSLContext | bool
    server_name: str | None


class _Sent:
    """Counts how often a request was sent: the library sends it again if a kept connection turns out to be closed."""

    def __init__(self) -> None:
        self.times = 0


class ConsulClient:
    """A client of one Consul datacenter by several agents; every call ends within `timeout` s."""

    def __init__(self, addresses: Sequence[str], *, timeout: float, access: ConsulAccess, cell: str) -> None:
        """Raises TopoMisconfigured for an address or a file that cannot be used."""
        if not addresses:
            raise TopoMisconfigured("no address of a Consul agent: expected host:port, or several with commas between")
        agents = [_agent(address, access) for address in addresses]
        self._endpoints = Endpoints(
            agents,
            timeout=timeout,
            server=f"Consul ({', '.join(agent.address for agent in agents)})",
            advice="check that it runs, has a leader and can be reached from here",
        )
        self._deadlines: dict[asyncio.Timeout, None] = {}
        token = access.token(cell)
        counting = aiohttp.TraceConfig()
        counting.on_request_headers_sent.append(_count)
        # Without limit, since watches keep connections for themselves. The environment's proxies are not for Consul.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers={"X-Consul-Token": token} if token else {},
            timeout=aiohttp.ClientTimeout(),
            trace_configs=[counting],
            trust_env=False,
        )

    async def call(
        self, what: str, method: str, path: str, *, query: Mapping[str, str] | None = None, body: bytes = b""
    ) -> ConsulReply:
        """Send a request and return the answer; `path` is that below `/v1/`, its parts are quoted here."""
        target = _target(path, query or {})
        reply, retried = await self._endpoints.call(
            what, lambda agent, seconds: self._ask(agent, method, target, body, seconds)
        )
        return reply._replace(repeated=retried or reply.repeated)

    async def wait(self, path: str, *, query: Mapping[str, str], index: int, wait: float) -> ConsulReply | None:
        """Read once something has changed since `index`, at the latest after `wait` s; None if the agent broke off.

        The caller then reads the present state with `call`, which asks another agent if need be.
        """
        agent = self._endpoints.current
        blocking = {**query, "index": str(index), "wait": f"{round(wait * 1000)}ms"}
        try:
            # Consul itself adds up to a sixteenth to the wait, so that not all clients ask at the same time.
            return await self._ask(agent, "GET", _target(path, blocking), b"", wait * 17 / 16 + self._endpoints.timeout)
        except Transient:
            self._endpoints.switch_from(agent)
            return None

    async def close(self) -> None:
        """Close all connections; calls under way raise TopoUnavailable."""
        self._endpoints.close()
        for deadline in tuple(self._deadlines):
            if not deadline.expired():
                deadline.reschedule(0.0)
        await self._session.close()

    async def _ask(self, agent: _Agent, method: str, target: str, body: bytes, seconds: float) -> ConsulReply:
        sent = _Sent()
        try:
            async with asyncio.timeout(seconds) as deadline:
                self._deadlines[deadline] = None
                try:
                    async with self._session.request(
                        method,
                        URL(f"{agent.base}{target}", encoded=True),
                        data=body or None,
                        ssl=agent.tls,
                        server_hostname=agent.server_name,
                        trace_request_ctx=sent,
                        allow_redirects=False,
                    ) as response:
                        content = await response.read()
                        status, headers = response.status, response.headers
                finally:
                    del self._deadlines[deadline]
        except TimeoutError:
            self._endpoints.raise_if_closed()
            raise Transient(f"{agent.address}: no answer within {seconds:.3g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            self._endpoints.raise_if_closed()
            sent_something = not isinstance(error, aiohttp.ClientConnectorError) or sent.times > 0
            raise Transient(f"{agent.address}: {str(error) or type(error).__name__}", arrived=sent_something) from error
        return _reply(agent, f"{method} {target.partition('?')[0]}", status, headers, content, sent)


async def _count(session: aiohttp.ClientSession, context: Any, params: aiohttp.TraceRequestHeadersSentParams) -> None:
    context.trace_request_ctx.times += 1


def _reply(
    agent: _Agent, request: str, status: int, headers: Mapping[str, str], content: bytes, sent: _Sent
) -> ConsulReply:
    text = content[:_LONGEST_TEXT].decode(errors="replace").strip()
    if status in _REFUSED or (status == 500 and "invalid" in text.lower()):
        raise TopoError(
            f"Consul refused {request}: {agent.address}: {text or 'no reason given'} (status {status}); check the ACL "
            "token of this topology, its rules and the settings of vtorc for Consul"
        )
    if status not in (200, 404, 409):  # such as 500 without a leader, or 429 of an agent under load
        raise Transient(f"{agent.address}: {text or 'no reason given'} (status {status})")
    if headers.get("X-Consul-Results-Filtered-By-ACLs") == "true":
        raise TopoError(
            f"Consul hid a part of the answer to {request} from this ACL token; give it read access to all keys below "
            "the root of the topology"
        )
    try:
        body = json.loads(content) if content else None
    except (ValueError, RecursionError):  # also JSON that is nested too deeply
        body = None
    index = headers.get("X-Consul-Index", "0")
    if status == 200 and body is None:
        raise TopoError(f"{agent.address} answered {request} with {text!r}, which is not JSON: is it a Consul agent?")
    return ConsulReply(status, body, int(index) if index.isdecimal() else 0, sent.times > 1)


def _target(path: str, query: Mapping[str, str]) -> str:
    words = [f"{name}={quote(value, safe='')}" if value else name for name, value in query.items()]
    return f"/v1/{quote(path, safe='/')}" + (f"?{'&'.join(words)}" if words else "")


def _agent(address: str, access: ConsulAccess) -> _Agent:
    scheme, _, host = address.strip().rpartition("://")
    if not are_host_ports(address):
        raise TopoMisconfigured(f"Consul agent {address!r}: expected {HOST_PORTS}")
    if not access.uses_tls(scheme):
        return _Agent(host, f"http://{host}", tls=True, server_name=None)
    return _Agent(host, f"https://{host}", access.tls(), access.tls_server_name)
