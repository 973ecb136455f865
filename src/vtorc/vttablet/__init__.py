"""What a tablet manager does for each RPC, whatever MySQL server it drives: Vitess' semantics, written once.

The lab runs it over a real mysqld behind gRPC, the simulator over a simulated one; hence nothing here knows more than
asyncio, the `MysqlServer` protocol and the topology server.
"""
