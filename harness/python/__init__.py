"""What users call from Python, and what the command line calls: functions that return data."""
