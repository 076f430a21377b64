"""Intervals, tests, power: the formulas of the report."""
