"""What is said of delegations: records in, text or JSON out, one module for each audience. Pure."""
