"""The live board: keys in, a full screen out.

``keys``, ``model``, ``table`` and ``drawing`` are pure; ``threads`` talk to services; ``terminal``
owns the screen; ``loop`` joins them.
"""
