"""One run from its slot to its end, as an actor: signals in, one outcome."""
