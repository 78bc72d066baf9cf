"""Where supervisors and people meet the service: one package for each host."""
