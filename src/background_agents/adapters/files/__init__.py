"""Files that hold results: written, read, found, adopted and cleared away."""
