"""For authors of adapters: suites for the ports, and fakes that pass them.

``contracts`` has the suites. ``memory`` keeps what a store keeps, ``runtime`` plays the scripts
that prompts carry (``scripts``), and ``clock`` stands still until it is moved: with these a service
runs without a process, a disk or a second that passes. Nothing outside of tests imports this.
"""
