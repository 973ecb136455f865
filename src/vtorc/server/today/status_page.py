"""`/debug/status` of today's API: a page with the last recoveries."""

from html import escape
from itertools import islice

from vtorc.server.memory import ServerMemory
from vtorc.server.today.golang import sql_time

_SHOWN = 20

_PAGE = """<!DOCTYPE html>
<html>
<head><meta charset="utf-8"><title>vtorc</title></head>
<body>
<h1>vtorc</h1>
<p>Version {version}, started {started}, process {process}. {shards} shards.</p>
<h2>Recent Recoveries</h2>
<table>
<tr><th>Recovery ID</th><th>Failure Type</th><th>Tablet Alias</th><th>Timestamp</th></tr>
{rows}</table>
</body>
</html>
"""


def status_page(memory: ServerMemory) -> str:
    """Return the page, with nothing in it that could be taken for markup."""
    rows = [
        f"<tr>{_cells(recovery.id, recovery.code, recovery.tablet, sql_time(recovery.began))}</tr>\n"
        for recovery in islice(reversed(memory.recoveries.values()), _SHOWN)
    ]
    status = memory.status
    return _PAGE.format(
        version=escape(status.version if status is not None else "unknown"),
        started=escape(sql_time(status.started) or "" if status is not None else "unknown"),
        process=status.process if status is not None else "unknown",
        shards=len(memory.shards),
        rows="".join(rows),
    )


def _cells(*values: str | None) -> str:
    return "".join(f"<td>{escape(value or '')}</td>" for value in values)
