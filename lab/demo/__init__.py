"""The demo: a supervisor and three background agents at work, on a real OpenCode.

``python -m lab.demo`` shows it. With a scripted model by default, so
that it needs no key; every line on the screen comes from OpenCode's events or from files.
"""
