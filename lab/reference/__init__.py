"""The reference pages of the documentation, made of what the code says of itself.

``python -m lab.reference`` writes them into ``docs/reference``; a test fails
when what is committed there is not what would be written, so a page cannot drift from the code.
"""
