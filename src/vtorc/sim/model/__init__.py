"""A small model of revoke, elect and promote under semi-sync: tests explore it exhaustively, and runs must follow it.

`plan` has the size of the explored world, `state` its states, `mysql` and `failover` its steps, `properties` what must
hold. `explore` visits every order of steps; `conformance` checks a simulated run.
"""
