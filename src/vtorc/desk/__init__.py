"""The desk where operators ask: plans of reparents, their execution and cancellation, and the stop of all recoveries.

It is above the control of shards, because it alone may reach the commands that promote what an election refuses.
"""
