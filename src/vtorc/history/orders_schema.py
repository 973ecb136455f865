"""The tables of the orders file, and the steps by which a file of an earlier vtorc becomes one of this vtorc."""

from collections.abc import Sequence

APPLICATION = 0x76746F63
"""SQLite's `application_id` of the file, which tells it from a file of another program."""

STEPS: Sequence[Sequence[str]] = (
    (
        """
        CREATE TABLE hold (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            purpose TEXT NOT NULL,
            scope TEXT NOT NULL,
            effects TEXT NOT NULL,
            owner TEXT NOT NULL,
            reason TEXT NOT NULL,
            created INTEGER NOT NULL,
            expires INTEGER
        )
        """,
    ),
    (
        """
        CREATE TABLE token (
            name TEXT PRIMARY KEY,
            hash BLOB NOT NULL,
            role TEXT NOT NULL,
            keyspaces TEXT,
            created INTEGER NOT NULL,
            created_by TEXT NOT NULL,
            expires INTEGER
        )
        """,
        """
        CREATE TABLE acknowledgement (
            recovery TEXT PRIMARY KEY,
            actor TEXT NOT NULL,
            comment TEXT NOT NULL,
            at INTEGER NOT NULL
        )
        """,
        """
        CREATE TABLE tag (
            tablet TEXT NOT NULL,
            name TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (tablet, name)
        )
        """,
    ),
)
"""The statements of each step, the first for an empty file.

A file's `user_version` is how many of them it has taken. A step that was released once is never changed: a change of a
table is a new step.
"""
