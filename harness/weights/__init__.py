"""Files of weights, ours and those of the reference implementations."""
