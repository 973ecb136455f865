"""A small model of revoke, elect, promote under semi-sync, explored exhaustively; simulated runs are held against it.

`plan` says how large a world is explored, `state` what there is in it, `mysql` and `failover` what can happen,
`properties` what must never be, `explore` looks at every order of events; `conformance` checks a simulated run.
"""
