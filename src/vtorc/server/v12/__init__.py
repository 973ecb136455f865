"""The API of orchestrator as vtorc of Vitess 11 to 13 served it: `orchestrator-client` and its web pages work with it.

Its names are those of Go's structs. Where Vitess renamed "master" to "primary" both names are there, in paths and in
JSON, because no client knows both.
"""
