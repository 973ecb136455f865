"""The client of `/api/v1` behind `vtorc ctl`: the connection, the answers as text, and the commands."""
