"""The audit in v12's form, and the log in syslog."""

import asyncio
import logging
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from msgspec import structs

from tests.unit.control.test_webhook_observer import LOST, REQUEST, Clock, record
from vtorc import files, logs
from vtorc.audit_log import AuditLog, open_audit
from vtorc.config.settings import LogSettings, Settings
from vtorc.errors import SettingsError
from vtorc.recovery.record import Outcome


@pytest.fixture
def syslog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A syslog that keeps what it gets."""
    path = str(tmp_path / "log")
    monkeypatch.setattr(logs, "SYSLOG", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(60)
        yield sock


def test_lines_have_the_form_of_v12(tmp_path: Path, syslog: socket.socket) -> None:
    """A recovery and a request are one line each, in the file and in syslog, with the address of the tablet."""
    path = tmp_path / "audit.log"
    audit = AuditLog(file=str(path), syslog=True, clock=Clock())
    audit.judged(LOST)
    audit.finished(record(Outcome.SUCCEEDED))
    audit.finished(record(Outcome.GONE))
    audit.audited(structs.replace(REQUEST, sentence="no\tsuch\nthing", times=2))
    audit.close()
    first, second = path.read_text().splitlines()
    assert first.split("\t")[1:] == [
        "recover-dead-primary",
        "127.0.0.1",
        "3101",
        "[commerce:0]",
        "succeeded: it is over",
        "",
    ]
    assert len(first.split("\t")[0]) == len("2026-03-01 00:00:00")
    message = "refused 2 times: ann from 10.0.0.7: no\\tsuch\\nthing"
    assert second.split("\t")[1:] == ["cancel", "", "0", "[commerce:0]", message, ""]
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0
    told = [syslog.recv(8192).decode() for _ in range(2)]
    assert told[0].startswith("<30>orchestrator[")
    assert told[0].endswith(
        "auditType:recover-dead-primary instance:127.0.0.1:3101 cluster:commerce:0 message:succeeded: it is over"
    )
    assert told[1].endswith(f"instance::0 cluster:commerce:0 message:{message}")


def test_a_file_that_was_moved_is_made_again(tmp_path: Path) -> None:
    """logrotate needs no signal: each line goes to the file that is at the path."""
    path = tmp_path / "audit.log"
    audit = AuditLog(file=str(path), clock=Clock())
    path.rename(tmp_path / "audit.log.1")
    audit.finished(record(Outcome.SUCCEEDED))
    audit.close()
    assert len(path.read_text().splitlines()) == 1


async def test_a_file_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    """The refusal names the setting, the file and the reason."""
    settings = Settings(audit_file_location=str(tmp_path / "none" / "audit.log"))
    with pytest.raises(SettingsError, match=r"--audit-file-location: expected .*none/audit\.log' \(No such file"):
        async with open_audit(settings, Clock()):
            pass
    async with open_audit(Settings(), Clock()) as audits:
        assert audits == ()


async def test_an_audit_file_that_hangs_ends_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file on a mount that hangs, for which a pipe stands here, is refused with its path instead of waited for."""
    monkeypatch.setattr(files, "FILE_PATIENCE", 0.1)
    os.mkfifo(tmp_path / "audit.log")
    settings = Settings(audit_file_location=str(tmp_path / "audit.log"))
    with pytest.raises(SettingsError, match=r"audit\.log' \(it does not answer: its disk or mount hangs"):
        async with open_audit(settings, Clock()):
            pass
    os.close(os.open(tmp_path / "audit.log", os.O_RDONLY | os.O_NONBLOCK))


async def test_the_log_goes_to_syslog_from_info_on(syslog: socket.socket) -> None:
    """Each line has the severity of its level, and debug lines stay out of it."""
    logs.setup_logging(LogSettings(enable_syslog=True, log_level="debug", log_format="text"), stderr=False)
    try:
        log = structlog.get_logger("vtorc.test")
        log.debug("a detail")
        log.info("a fact")
        log.error("a mistake")
        await asyncio.to_thread(logs.flush_logs)
        first, second = (syslog.recv(8192).decode() for _ in range(2))
    finally:
        logs.setup_logging(LogSettings(), stderr=False)
        logging.getLogger().setLevel(logging.WARNING)
        structlog.reset_defaults()
    assert first.startswith("<30>orchestrator[")
    assert first.endswith("a fact")
    assert second.startswith("<27>orchestrator[")
