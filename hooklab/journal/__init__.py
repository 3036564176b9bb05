"""The durable, append-only log of batches: the only thing that must be written before a 200."""
