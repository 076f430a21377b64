"""Which runs a request means; nothing is run here."""
