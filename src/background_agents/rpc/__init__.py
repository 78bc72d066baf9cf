"""JSON-RPC 2.0 over newline-delimited frames. Knows nothing of delegations."""
