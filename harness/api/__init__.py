"""The plugin interface: puzzles, predictions, reasoners, specs, hooks."""
