"""What plugins import: puzzles, predictions, reasoners, specs, hooks."""
