"""Puzzles on their way from a task to the training loop."""
