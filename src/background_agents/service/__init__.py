"""Supervises delegations: the only place with tasks and time.

Reaches the world through ``ports`` alone and knows no adapter and no host.
"""
