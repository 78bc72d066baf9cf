"""The live board: keys in, a full screen out.

``keys``, ``line``, ``model`` and ``drawing`` are pure; ``looking`` and ``acting`` talk to services
on threads of their own; ``terminal`` owns the screen; ``loop`` joins them.
"""
