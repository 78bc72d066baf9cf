"""The live board: keys in, a full screen out.

``seen``, ``keys``, ``model``, ``table``, ``pane`` and ``drawing`` are pure; ``threads`` talk to
services; ``terminal`` owns the screen; ``loop`` joins them.
"""
