"""The lab's reserved ports."""

import socket

from vtorc.lab.ports import Ports


def test_ports_are_reserved_against_other_labs() -> None:
    """Two labs never get the same port, also while no process listens on it."""
    one, other = Ports(), Ports()
    taken = [lab.take() for lab in (one, other) for _ in range(20)]
    one.release()
    other.release()
    assert len(set(taken)) == len(taken)


def test_port_with_a_listener_is_not_reserved() -> None:
    """A port on which another program listens is not reserved."""
    ports = Ports()
    port = ports.take()
    ports.release()
    with socket.create_server(("127.0.0.1", port)):
        assert not ports._reserve(port)
    assert ports._reserve(port)
    ports.release()
