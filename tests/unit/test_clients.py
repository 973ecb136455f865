"""The settings of clients that follow from those of the daemon."""

from pathlib import Path

import pytest

from vtorc.clients import make_sentinel
from vtorc.config.settings import Settings
from vtorc.errors import SettingsError


def test_a_file_of_mysqls_tls_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    """The flag, the path and the reason are named; without TLS the files are not read."""
    missing, wrong = str(tmp_path / "missing.pem"), tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    account = Settings(mysql_topology_user="vtorc", mysql_topology_ssl_ca_file=missing)
    assert make_sentinel(account) is not None
    with pytest.raises(SettingsError, match=r"--mysql-topology-ssl-ca-file: .* 'missing.pem'|No such file"):
        make_sentinel(
            Settings(
                mysql_topology_user="vtorc", mysql_topology_use_mutual_tls=True, mysql_topology_ssl_ca_file=missing
            )
        )
    with pytest.raises(SettingsError, match="--mysql-topology-ssl-cert-file: expected a PEM file"):
        make_sentinel(
            Settings(
                mysql_topology_user="vtorc",
                mysql_topology_use_mutual_tls=True,
                mysql_topology_ssl_cert_file=str(wrong),
                mysql_topology_ssl_private_key_file=str(wrong),
            )
        )
