"""What only a terminal shows: text for people, a module for each command it serves."""
