"""Keys in the lines of metrics that a run's process sends."""

EVALUATED = "evaluated"
"""The share of the test split that is evaluated."""
RESUMED = "resumed at"
"""The share of the budget that an earlier process had used."""
SHOWN = {EVALUATED, RESUMED}
"""Lines with these are shown and not kept."""
