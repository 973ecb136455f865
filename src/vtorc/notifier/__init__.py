"""Tells others what happened: a process beside vtorc that calls the webhook and runs the operator's commands."""
