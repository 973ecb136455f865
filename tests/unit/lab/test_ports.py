"""Ports of the lab."""

import socket

from vtorc.lab.ports import Ports


def test_ports_are_reserved_against_other_labs() -> None:
    """Two labs are never given the same port, also while nobody listens on any of them."""
    one, other = Ports(), Ports()
    taken = [lab.take() for lab in (one, other) for _ in range(20)]
    one.release()
    other.release()
    assert len(set(taken)) == len(taken)


def test_port_that_somebody_listens_on_is_not_given() -> None:
    """A port that another program listens on is passed over."""
    ports = Ports()
    port = ports.take()
    ports.release()
    with socket.create_server(("127.0.0.1", port)):
        assert not ports._reserve(port)
    assert ports._reserve(port)
    ports.release()
