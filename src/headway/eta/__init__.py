"""When a task ends: pure functions of what was observed, without I/O and without a clock."""
