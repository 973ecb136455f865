"""A lab of real processes: which of them outlive which, and that none stays behind."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from tests.tablet_conformance.harness import PATIENCE, eventually
from vtorc.core.facts.ids import TabletType
from vtorc.errors import MysqlError
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.errors import LabError
from vtorc.lab.guard import RunFolder, runs_folder, sweep_stale_runs
from vtorc.lab.processes import PidFileProcess
from vtorc.lab.tablet_handle import LabTablet
from vtorc.proto import replicationdata_pb2
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.proto.tabletmanagerservice_pb2_grpc import TabletManagerStub

OWNER = """
import asyncio, json
from vtorc.lab.cluster import LabCluster, LabSpec
async def main():
    async with LabCluster(LabSpec(tablets=1, cells=("zone1",))) as lab:
        tablet = lab.tablet("zone1-101")
        print(json.dumps([str(lab.folder), tablet.tablet_pid, tablet.mysqld_pid]), flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["local", "etcd2"])
async def lab(request: pytest.FixtureRequest) -> AsyncIterator[LabCluster]:
    """Run a lab of two tablets on each kind of topology server."""
    async with LabCluster(LabSpec(tablets=2, cells=("zone1", "zone2"), topo=request.param)) as lab:
        yield lab


@pytest_asyncio.fixture(loop_scope="module")
async def tablet(lab: LabCluster) -> LabTablet:
    """Give one running tablet of the lab, with a running server."""
    tablet = lab.tablet("zone1-101")
    if tablet.tablet_pid is None:
        await tablet.start_tablet()
    await tablet.start_mysqld()
    return tablet


@contextlib.asynccontextmanager
async def rpc(tablet: LabTablet) -> AsyncIterator[TabletManagerStub]:
    """Connect to a tablet."""
    async with grpc.aio.insecure_channel(f"{tablet.host}:{tablet.grpc_port}") as channel:
        yield TabletManagerStub(channel)


async def full_status(tablet: LabTablet, *, timeout: float = PATIENCE) -> replicationdata_pb2.FullStatus:
    """Ask for the full status."""
    async with rpc(tablet) as stub:
        return (await stub.FullStatus(tm.FullStatusRequest(), timeout=timeout)).status


def is_gone(pid: int) -> bool:
    """Whether no such process runs any more; a zombie counts as gone."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return True
    return state == b"Z"


def folder_exists(folder: str) -> bool:
    """Whether the folder of a run exists."""
    return Path(folder).exists()


@pytest.mark.asyncio(loop_scope="module")
async def test_lab_has_what_its_spec_says(lab: LabCluster) -> None:
    """A new lab has cells, a keyspace with its policy, a shard without a primary, and the replicas of its spec."""
    (shard,) = lab.shard_ids()
    assert await lab.topo.cells() == ("zone1", "zone2")
    assert (await lab.topo.keyspace("commerce")).durability_policy == "semi_sync"
    assert (await lab.topo.shard(shard)).primary_alias is None
    records = (await lab.topo.tablets_of_shard(shard)).records
    assert [record.alias for record in records] == list(lab.tablets)
    assert {record.type for record in records} == {TabletType.REPLICA}


@pytest.mark.asyncio(loop_scope="module")
async def test_mysqld_outlives_its_tablet(lab: LabCluster, tablet: LabTablet) -> None:
    """A killed tablet leaves its record and its mysqld; a new process of the tablet takes over the same mysqld."""
    before = await lab.topo.tablet(tablet.alias)
    server = tablet.mysqld_pid
    await tablet.kill_tablet()
    assert tablet.tablet_pid is None
    assert tablet.mysqld_pid == server
    assert await lab.topo.tablet(tablet.alias) == before
    session = await tablet.connect()
    assert await session.value("SELECT 1") == "1"
    session.close()
    await tablet.start_tablet()
    assert (await tablet.status())["mysqld_pid"] == server


@pytest.mark.asyncio(loop_scope="module")
async def test_stopped_tablet_clears_its_addresses(lab: LabCluster, tablet: LabTablet) -> None:
    """A tablet that gets SIGTERM clears the addresses in its record and leaves its mysqld running."""
    await tablet.stop_tablet()
    assert (await lab.topo.tablet(tablet.alias)).is_shut_down
    assert tablet.mysqld_pid is not None
    with pytest.raises(LabError, match="no tablet runs"):
        await tablet.status()


@pytest.mark.asyncio(loop_scope="module")
async def test_tablet_outlives_its_mysqld(tablet: LabTablet) -> None:
    """A tablet runs on after its mysqld was killed, and starts it again on command."""
    process = tablet.tablet_pid
    await tablet.kill_mysqld()
    with pytest.raises(grpc.aio.AioRpcError, match="errno 20"):
        await full_status(tablet)
    assert tablet.mysqld_pid is None
    with pytest.raises(MysqlError, match="errno 2002"):
        await tablet.connect()
    await tablet.start_mysqld()
    assert (await full_status(tablet)).read_only
    assert tablet.tablet_pid == process


@pytest.mark.asyncio(loop_scope="module")
async def test_hung_mysqld_keeps_callers_waiting(tablet: LabTablet) -> None:
    """While mysqld is paused, FullStatus takes the whole deadline and Ping answers; after that both answer."""
    await tablet.pause_mysqld()
    try:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await full_status(tablet, timeout=0.3)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        async with rpc(tablet) as stub:
            await stub.Ping(tm.PingRequest(payload="x"), timeout=PATIENCE)
    finally:
        await tablet.resume_mysqld()
    assert (await full_status(tablet)).server_id


@pytest.mark.asyncio(loop_scope="module")
async def test_mysqld_is_commanded_from_the_shell(tablet: LabTablet) -> None:
    """`tablet_ctl` restarts a tablet's mysqld, prints its status, and fails with a sentence if no tablet runs."""

    async def ctl(folder: Path, command: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "vtorc.lab.tablet_ctl", "--dir", str(folder), command),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode, output.decode()

    before = tablet.mysqld_pid
    assert (await ctl(tablet.folder, "mysqld-restart"))[0] == 0
    code, output = await ctl(tablet.folder, "status")
    assert code == 0
    assert json.loads(output)["mysqld_pid"] == tablet.mysqld_pid != before
    code, output = await ctl(tablet.folder.parent, "status")
    assert code == 1
    assert "no tablet runs" in output


@pytest.mark.asyncio(loop_scope="module")
async def test_second_process_takes_the_alias(lab: LabCluster, tablet: LabTablet) -> None:
    """A tablet ends at the next write of its record after another process has taken its alias."""

    def take(stored: object) -> None:
        stored.hostname = "another.host"  # type: ignore[attr-defined]

    await lab.topo.update_tablet(tablet.alias, take)
    async with rpc(tablet) as stub:
        await stub.ChangeTags(tm.ChangeTagsRequest(tags={"a": "b"}), timeout=PATIENCE)

    async def ended() -> bool:
        return tablet.tablet_pid is None

    await eventually(ended)
    assert "another process took zone1-0000000101" in (tablet.folder / "tablet.log").read_text()
    await tablet.start_tablet()


@pytest.mark.asyncio(loop_scope="module")
async def test_supervised_mysqld_comes_back(lab: LabCluster, tablet: LabTablet) -> None:
    """With --supervise a tablet starts its mysqld again each time it ends."""
    await tablet.kill_tablet()
    await tablet.start_tablet("--supervise")
    before = tablet.mysqld_pid
    await tablet.kill_mysqld()

    async def back() -> bool:
        try:
            return (await full_status(tablet)).server_id > 0 and tablet.mysqld_pid != before
        except grpc.aio.AioRpcError:
            return False

    await eventually(back)
    await tablet.kill_tablet()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "SIGINT"])
async def test_nothing_outlives_the_owner(number: signal.Signals) -> None:
    """After the owner of a lab was killed or interrupted, its servers end and its folder disappears."""
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", OWNER, stdout=asyncio.subprocess.PIPE)
    assert owner.stdout is not None
    async with asyncio.timeout(PATIENCE):
        folder, *pids = json.loads(await owner.stdout.readline())
        owner.send_signal(number)
        await owner.wait()

    async def all_gone() -> bool:
        return all(map(is_gone, pids)) and not folder_exists(folder)

    await eventually(all_gone)


async def test_stale_run_is_swept() -> None:
    """If owner and guard of a run folder are both gone, the next lab kills its processes and deletes it."""
    runs_folder().mkdir(mode=0o700, exist_ok=True)
    run = RunFolder()
    process = PidFileProcess(run.path / "left.pid", str(run.path))
    process.spawn([sys.executable, "-c", "import time; time.sleep(600)", str(run.path)], log=run.path / "log")
    pid = process.pid
    assert pid is not None
    sweep_stale_runs()
    assert not is_gone(pid)
    run._guard.kill()
    run._guard.wait()
    run._lock.close()
    sweep_stale_runs()
    await process.wait_exit()
    assert not run.path.exists()


def test_lab_imports_nothing_slow_into_its_guard() -> None:
    """The guard of a lab does not import the libraries of the lab, so that it starts fast."""
    code = (
        "import sys, vtorc.lab.guard; print({name.split('.')[0] for name in sys.modules} & {'grpc', 'asyncmy', 'rich'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "set()"
