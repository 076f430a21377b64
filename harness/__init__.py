"""The core of trm-bench. It knows no task and no model by name."""
