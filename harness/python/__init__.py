"""The Python API, which the command line calls too: functions that return data."""
