"""The sidecar database's tables that reparents and the semi-sync monitor use (Vitess `go/vt/sidecardb/schema/`)."""

SIDECAR_TABLES = {
    "reparent_journal": (
        "time_created_ns BIGINT UNSIGNED NOT NULL, action_name VARBINARY(255) NOT NULL, "
        "primary_alias VARBINARY(255) NOT NULL, replication_position VARBINARY(64000) DEFAULT NULL, "
        "PRIMARY KEY (time_created_ns)"
    ),
    "semisync_heartbeat": "id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, ts TIMESTAMP(6) NOT NULL, PRIMARY KEY (id)",
}
