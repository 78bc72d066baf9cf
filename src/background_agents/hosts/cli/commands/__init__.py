"""The commands, one small file each: ``add_arguments`` says what it takes, ``run`` does it.

A command is imported when it is called, so each pays for its own imports alone.
"""
