"""What drives the product from outside: real programs around it, what is made and measured of it.

``harness/`` runs real OpenCodes, terminals and namespaces; ``demo/``, ``bench/``, ``faults/`` and
``soak/`` are programs that people start; ``reference/`` and ``screens.py`` make pages and pictures.
It is no part of what is installed, and nothing of ``background_agents`` knows it.
"""
