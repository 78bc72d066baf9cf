"""The fault suite: kills a service at every commit and every send, and checks the promise.

Whatever dies, every delegation ends in exactly one terminal state, with its artifact and
exactly one ending notice. ``python -m lab.faults`` runs the matrix.
"""
