"""What the process and its machine are doing, sampled once a second while the process has tasks."""
