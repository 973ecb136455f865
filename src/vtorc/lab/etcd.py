"""A real etcd server of one member, as a child process, for the demo and the tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vtorc.lab.parts import find_etcd
from vtorc.lab.topo_process import START_SECONDS, TopoProcess
from vtorc.proto import etcd_pb2
from vtorc.topo.etcd2 import EtcdTls
from vtorc.topo.etcd_client import EtcdClient


@dataclass(frozen=True, slots=True)
class ServerTls:
    """PEM files of a server that demands client certificates of its CA, and the credentials of a client."""

    cert: Path
    key: Path
    ca: Path
    client: EtcdTls


class EtcdServer(TopoProcess):
    """One etcd; see `TopoProcess`."""

    name = "etcd"

    def __init__(self, folder: Path, *, tls: ServerTls | None = None, options: tuple[str, ...] = ()) -> None:
        super().__init__(folder)
        self._tls = tls
        self._options = options
        self._peer_port = self.ports.take()

    async def answer(self) -> None:
        """Wait until etcd reads a key."""
        tls = self._tls.client if self._tls else EtcdTls()
        client = EtcdClient([self.address], timeout=START_SECONDS, credentials=tls.credentials)
        try:
            await client.range(etcd_pb2.RangeRequest(key=b"/"))
        finally:
            await client.close()

    def command(self) -> Sequence[str]:
        """Return etcd with its arguments."""
        scheme = "https" if self._tls else "http"
        client, peer = f"{scheme}://{self.address}", f"http://127.0.0.1:{self._peer_port}"
        tls = (
            [
                f"--cert-file={self._tls.cert}",
                f"--key-file={self._tls.key}",
                f"--trusted-ca-file={self._tls.ca}",
                "--client-cert-auth",
            ]
            if self._tls
            else []
        )
        return [
            str(find_etcd().path),
            f"--data-dir={self.data}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            *tls,
            *self._options,
        ]
