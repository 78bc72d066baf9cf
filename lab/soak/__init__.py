"""The soak: delegations without a pause for a quarter of an hour, and what that wears out.

A service that lives long must hold no more at the end than at the beginning; services that
are killed at random must lose nothing. ``python -m lab.soak`` runs it.
"""
