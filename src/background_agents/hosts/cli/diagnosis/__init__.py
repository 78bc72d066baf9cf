"""What ``doctor`` examines, one file for each theme, and nothing that it would change.

A check is a function called ``check_…`` that takes the ``Scene`` and yields findings. Each stands
alone: one that fails in a way that nobody thought of is a finding itself, and the others go on.
"""
