"""The only code that knows Redis: its keys, its scripts, and the embedded server."""
