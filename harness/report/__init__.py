"""From records on disk to a report: `build` reads and computes, `table` is what it computes."""
