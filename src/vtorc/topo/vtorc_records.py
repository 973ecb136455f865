"""The records of vtorcs that share the shards of a fleet: a part of the topology that is vtorc's own, in JSON.

Vitess has no such record and reads no directory of this name.
"""

import json
from dataclasses import dataclass

from vtorc.errors import BadRecord

LONGEST_NAME = 200
"""Most characters of a vtorc's name, which is a part of a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VtorcRecord:
    """The record by which a vtorc tells the others of itself; it is written anew with each beat."""

    name: str
    """Its host name and port, which is the last part of its path, too."""
    life: str
    """A random name of this process, so that two vtorcs with one name are told apart."""
    beat: int
    """How often this process has written its record."""
    clusters_to_watch: tuple[str, ...] = ()
    """The entries of its `--clusters-to-watch`; empty for all shards."""
    acts: bool = True
    """Whether its recoveries are allowed; if not, it only watches."""


def write_vtorc_record(record: VtorcRecord) -> bytes:
    """Return the contents of a record."""
    told = {
        "name": record.name,
        "life": record.life,
        "beat": record.beat,
        "clusters_to_watch": list(record.clusters_to_watch),
        "acts": record.acts,
    }
    return json.dumps(told).encode()


def read_vtorc_record(path: str, contents: bytes) -> VtorcRecord:
    """Return what a record says; raises BadRecord naming the path and the field that is not as expected.

    A record that names another vtorc than its path is a copy, and would count that vtorc twice.
    """
    try:
        told = json.loads(contents)
    except (ValueError, RecursionError) as error:  # also contents that are not UTF-8, or nested too deeply
        raise BadRecord(path, f"expected JSON, got {contents[:80]!r} ({error})") from None
    if not isinstance(told, dict):
        raise BadRecord(path, f"expected a JSON object, got {contents[:80]!r}")
    for field, kind in (("name", str), ("life", str), ("beat", int), ("clusters_to_watch", list), ("acts", bool)):
        if not isinstance(told.get(field), kind) or (kind is int and isinstance(told[field], bool)):
            raise BadRecord(path, f"{field}: expected {_EXPECTED[kind]}, got {told.get(field)!r}")
    if told["name"] != (name := path.rpartition("/")[2]):
        raise BadRecord(path, f"name: expected {name!r}, as in its path, got {told['name']!r}")
    if not all(isinstance(entry, str) for entry in told["clusters_to_watch"]):
        raise BadRecord(path, f"clusters_to_watch: expected a list of texts, got {told['clusters_to_watch']!r}")
    return VtorcRecord(
        name=told["name"],
        life=told["life"],
        beat=told["beat"],
        clusters_to_watch=tuple(told["clusters_to_watch"]),
        acts=told["acts"],
    )


_EXPECTED = {str: "a text", int: "a whole number", list: "a list", bool: "true or false"}
