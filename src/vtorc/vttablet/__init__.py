"""The small vttablet: a tablet manager's work for each RPC, with Vitess' semantics, on any kind of MySQL server.

The lab runs it on a real mysqld behind gRPC, the simulator on a simulated one. So it depends on nothing but asyncio,
the `MysqlServer` protocol and the topology server.
"""
