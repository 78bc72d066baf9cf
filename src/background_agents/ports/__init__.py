"""What the service needs from the world: protocols by subject, each with its behaviour in words.

Every implementation, fake or real, passes the suite for its port in
``background_agents.testing.contracts``. Nothing here knows OpenCode or SQLite.
"""
