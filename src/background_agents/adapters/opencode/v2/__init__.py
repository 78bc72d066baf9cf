"""OpenCode 2 as a runtime and as the place of supervisors.

What differs from line 1 for the rest of the house is said by ``runtime``'s properties.
"""
