"""Keeps one healthy MySQL primary in every shard of a Vitess cluster."""

__version__ = "0.1.0"
