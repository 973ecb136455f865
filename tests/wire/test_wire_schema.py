"""Our .proto files against upstream's field numbers, types, enum values and calls, which are text in tables/."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    FileDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)

from vtorc.proto import (
    etcd_pb2,
    etcd_pb2_grpc,
    logutil_pb2,
    mvcc_pb2,
    query_pb2,
    queryservice_pb2,
    queryservice_pb2_grpc,
    querythrottler_pb2,
    replicationdata_pb2,
    tabletmanagerdata_pb2,
    tabletmanagerservice_pb2,
    tabletmanagerservice_pb2_grpc,
    topodata_pb2,
    vschema_pb2,
    vtorcdata_pb2,
    vtrpc_pb2,
    vttime_pb2,
)

FILES: list[FileDescriptor] = [
    module.DESCRIPTOR
    for module in (
        etcd_pb2,
        logutil_pb2,
        mvcc_pb2,
        query_pb2,
        queryservice_pb2,
        querythrottler_pb2,
        replicationdata_pb2,
        tabletmanagerdata_pb2,
        tabletmanagerservice_pb2,
        topodata_pb2,
        vschema_pb2,
        vtorcdata_pb2,
        vtrpc_pb2,
        vttime_pb2,
    )
]
STUBS: dict[str, type] = {
    "etcdserverpb.Auth": etcd_pb2_grpc.AuthStub,
    "etcdserverpb.KV": etcd_pb2_grpc.KVStub,
    "etcdserverpb.Lease": etcd_pb2_grpc.LeaseStub,
    "etcdserverpb.Maintenance": etcd_pb2_grpc.MaintenanceStub,
    "etcdserverpb.Watch": etcd_pb2_grpc.WatchStub,
    "queryservice.Query": queryservice_pb2_grpc.QueryStub,
    "tabletmanagerservice.TabletManager": tabletmanagerservice_pb2_grpc.TabletManagerStub,
}
SCALARS = {
    number: name.removeprefix("TYPE_").lower()
    for name, number in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}


def table(name: str) -> dict[str, list[str]]:
    """Read a table: heading to its indented lines."""
    rows: dict[str, list[str]] = {}
    heading = ""
    for line in (Path(__file__).parent / "tables" / f"{name}.txt").read_text().splitlines():
        if line.startswith("  "):
            rows[heading].append(line.strip())
        elif line and not line.startswith("#"):
            heading = line
            assert heading not in rows, f"{heading} occurs twice in {name}.txt"
            rows[heading] = []
    return rows


FIELDS, ENUMS, RPCS = table("fields"), table("enums"), table("rpcs")


def messages() -> Iterator[Descriptor]:
    """Yield every message of ours, nested ones too, without the generated entry types of maps."""
    pending = [message for file in FILES for message in file.message_types_by_name.values()]
    while pending:
        message = pending.pop()
        if not message.GetOptions().map_entry:
            yield message
            pending.extend(message.nested_types)


def enums() -> Iterator[EnumDescriptor]:
    """Yield every enum of ours."""
    for file in FILES:
        yield from file.enum_types_by_name.values()
    for message in messages():
        yield from message.enum_types


def services() -> Iterator[ServiceDescriptor]:
    """Yield every service of ours."""
    for file in FILES:
        yield from file.services_by_name.values()


def type_of(field: FieldDescriptor) -> str:
    """Return a field's type in the notation of the tables."""
    if field.message_type and field.message_type.GetOptions().map_entry:
        key, value = (type_of(field.message_type.fields_by_name[part]) for part in ("key", "value"))
        return f"map<{key}, {value}>"
    named = field.message_type or field.enum_type
    return ("repeated " if field.is_repeated else "") + (named.full_name if named else SCALARS[field.type])


def call(method: MethodDescriptor) -> str:
    """Return a method's name and types in the notation of the tables."""
    request = ("stream " if method.client_streaming else "") + method.input_type.full_name
    response = ("stream " if method.server_streaming else "") + method.output_type.full_name
    return f"{method.name} {request} {response}"


MESSAGES = {message.full_name: message for message in messages()}


def test_every_upstream_message_is_declared_and_no_other() -> None:
    """Our messages are those of the table."""
    assert sorted(MESSAGES) == sorted(FIELDS)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_fields_have_upstream_numbers_and_types(name: str) -> None:
    """A message has the table's fields with the table's numbers, names and types, and no other."""
    fields = sorted(MESSAGES[name].fields, key=lambda field: field.number)
    assert [f"{field.number} {field.name} {type_of(field)}" for field in fields] == FIELDS[name]


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_no_field_number_or_name_is_used_twice(name: str) -> None:
    """In one message each number belongs to one field and each name to one number."""
    numbers = [field.number for field in MESSAGES[name].fields]
    names = [field.name for field in MESSAGES[name].fields]
    assert len(set(numbers)) == len(numbers)
    assert len(set(names)) == len(names)


def test_no_scalar_claims_presence() -> None:
    """No scalar is `optional`: Vitess' senders leave zero values out, so the absence of one would prove nothing."""
    # The compiler turns an optional scalar into a oneof of its own whose name starts with an underscore.
    oneofs = [oneof.full_name for message in MESSAGES.values() for oneof in message.oneofs]
    assert [name for name in oneofs if name.rpartition(".")[2].startswith("_")] == []


def test_enums_have_upstream_values() -> None:
    """Our enums have the table's numbers and names; of two names of a number the one to print is first."""
    ours: dict[str, list[str]] = defaultdict(list)
    for enum in enums():
        ours[enum.full_name] = [f"{value.number} {value.name}" for value in enum.values]
    assert ours == ENUMS


def test_old_words_for_tablet_types_are_read_but_not_printed() -> None:
    """MASTER and BATCH are accepted as names, and the numbers are printed as PRIMARY and RDONLY."""
    assert topodata_pb2.TabletType.Value("MASTER") == topodata_pb2.PRIMARY
    assert topodata_pb2.TabletType.Value("BATCH") == topodata_pb2.RDONLY
    assert topodata_pb2.TabletType.Name(topodata_pb2.MASTER) == "PRIMARY"
    assert topodata_pb2.TabletType.Name(topodata_pb2.BATCH) == "RDONLY"


def test_services_have_upstream_calls() -> None:
    """Our services have the table's calls with the table's request and response types, and no other."""
    ours = {service.full_name: sorted(map(call, service.methods)) for service in services()}
    assert ours == {name: sorted(calls) for name, calls in RPCS.items()}


class _PathRecorder:
    """A channel that records the path and kind of each call of a stub."""

    def __init__(self) -> None:
        self.paths: dict[str, str] = {}

    def __getattr__(self, kind: str) -> Any:
        def multi_callable(path: str, **_: Any) -> None:
            self.paths[path] = kind

        return multi_callable


@pytest.mark.parametrize("name", sorted(RPCS))
def test_stubs_call_upstream_paths(name: str) -> None:
    """A stub calls /package.Service/Method, streaming on the sides that stream."""
    channel = _PathRecorder()
    STUBS[name](channel)
    expected = {}
    for line in RPCS[name]:
        method, _, types = line.partition(" ")
        sides = types.replace("stream ", "~").split()
        expected[f"/{name}/{method}"] = "_".join("stream" if side.startswith("~") else "unary" for side in sides)
    assert channel.paths == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("MasterStatus", "PrimaryStatus"),
        ("MasterPosition", "PrimaryPosition"),
        ("InitMaster", "InitPrimary"),
        ("DemoteMaster", "DemotePrimary"),
        ("UndoDemoteMaster", "UndoDemotePrimary"),
        ("SetMaster", "SetReplicationSource"),
    ],
)
def test_old_call_names_carry_the_new_messages(old: str, new: str) -> None:
    """A call's name of releases 12 and 13 takes and returns the messages of its new name."""
    methods = tabletmanagerservice_pb2.DESCRIPTOR.services_by_name["TabletManager"].methods_by_name
    assert methods[old].input_type == methods[new].input_type
    assert methods[old].output_type == methods[new].output_type
