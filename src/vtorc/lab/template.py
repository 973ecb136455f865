"""The data directory that every lab mysqld is copied from; it is initialised once per server version.

To initialise it takes seconds, to copy it a tenth of a second. It has the users that Vitess' own `config/init_db.sql`
creates, and no GTIDs.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from vtorc.lab import parts
from vtorc.lab.errors import LabError

RECIPE = 1
"""Number of the way in which templates are made; beside one with another number a new one is made."""

TOPOLOGY_USER, TOPOLOGY_PASSWORD = "orc_client_user", "orc_client_user_password"
"""The account with which vtorc may log in to each server; Vitess' own scripts make it under this name."""

_APP = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, FILE, REFERENCES, INDEX, ALTER, SHOW DATABASES, "
    "CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, "
    "ALTER ROUTINE, CREATE USER, EVENT, TRIGGER"
)
_ALL_PRIVS = _APP.replace("REPLICATION CLIENT", "REPLICATION SLAVE, REPLICATION CLIENT")

# One statement per line, as mysqld's --init-file demands.
_USERS = f"""\
CREATE USER 'vt_dba'@'localhost';
GRANT ALL ON *.* TO 'vt_dba'@'localhost' WITH GRANT OPTION;
GRANT PROXY ON ''@'' TO 'vt_dba'@'localhost' WITH GRANT OPTION;
CREATE USER 'vt_app'@'localhost', 'vt_app'@'%';
GRANT {_APP} ON *.* TO 'vt_app'@'localhost', 'vt_app'@'%';
CREATE USER 'vt_appdebug'@'localhost';
GRANT SELECT, SHOW DATABASES, PROCESS ON *.* TO 'vt_appdebug'@'localhost';
CREATE USER 'vt_allprivs'@'localhost', 'vt_filtered'@'localhost';
GRANT {_ALL_PRIVS} ON *.* TO 'vt_allprivs'@'localhost', 'vt_filtered'@'localhost';
CREATE USER 'vt_repl'@'%';
GRANT REPLICATION SLAVE ON *.* TO 'vt_repl'@'%';
CREATE USER 'vt_monitoring'@'localhost';
GRANT SELECT, PROCESS, SUPER, REPLICATION CLIENT, RELOAD ON *.* TO 'vt_monitoring'@'localhost';
GRANT SELECT, UPDATE, DELETE, DROP ON performance_schema.* TO 'vt_monitoring'@'localhost';
CREATE USER '{TOPOLOGY_USER}'@'%' IDENTIFIED BY '{TOPOLOGY_PASSWORD}';
GRANT SUPER, PROCESS, REPLICATION SLAVE, RELOAD ON *.* TO '{TOPOLOGY_USER}'@'%';
GRANT SELECT ON _vt.* TO '{TOPOLOGY_USER}'@'%';
"""

SMALL = (
    "--innodb-buffer-pool-size=16M",
    "--innodb-redo-log-capacity=8M",
    "--innodb-log-buffer-size=1M",
    "--innodb-doublewrite=OFF",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-use-native-aio=OFF",
    "--performance-schema=OFF",
    "--max-connections=120",
    "--table-open-cache=200",
    "--table-definition-cache=400",
)
"""Options that keep a server near 150 MB; its commits survive the end of its process, but not of its host."""


def template_folder(mysql: parts.MysqlParts) -> Path:
    """Return the data directory to copy for this server; it makes one first if the cache has none (3 s, blocking).

    Several processes may call it at once. Raises LabError with the end of mysqld's output if it cannot initialise.
    """
    home = parts.cache_folder(os.environ) or Path(tempfile.gettempdir()) / f"vtorc-{os.getuid()}" / "parts"
    shelf = home.parent / "templates"
    shelf.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(f"{RECIPE}\n{mysql.mysqld.resolve()}\n{SMALL}\n{_USERS}".encode()).hexdigest()[:12]
    folder = shelf / f"mysql-{'.'.join(map(str, mysql.version))}-{key}"
    if folder.is_dir():
        return folder
    with (shelf / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _initialise(mysql, folder)
    return folder


def copy_template(template: Path, target: Path) -> None:
    """Copy the template to `target`, which must not exist (blocking; 80 MB)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["cp", "-a", "--reflink=auto", template, target], capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(target, ignore_errors=True)
        raise LabError(f"the data directory {target} could not be copied from {template}: {done.stderr.strip()}")


def _initialise(mysql: parts.MysqlParts, folder: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        (work / "users.sql").write_text(_USERS)
        command = [
            str(mysql.mysqld),
            *parts.required_options(mysql),
            "--initialize-insecure",
            f"--datadir={work / 'data'}",
            f"--init-file={work / 'users.sql'}",
            "--skip-log-bin",
            *SMALL,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"{mysql.mysqld} could not initialise a data directory: {done.stderr.strip()[-600:]}")
        # The file holds the server's UUID. Without it, each copy generates its own at its first start.
        (work / "data" / "auto.cnf").unlink(missing_ok=True)
        (work / "data").rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
