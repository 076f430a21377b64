"""Keys in the lines of metrics that a run's process sends."""

EVALUATED = "evaluated"
"""The share of the test split that is evaluated; such a line is shown and not kept."""
