"""The analysis of history and of ETA accuracy."""
