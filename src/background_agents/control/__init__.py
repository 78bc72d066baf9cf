"""How other programs of the same user reach a running service: JSON-RPC over a Unix socket."""
