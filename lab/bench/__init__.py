"""Measurements on a real OpenCode with the scripted model, as ``make bench`` runs them."""
