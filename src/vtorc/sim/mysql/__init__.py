"""A simulated MySQL server: binary log, relay log, semi-sync, read-only switches, crashes and sick disks."""
