"""Faults at random, and nothing that was promised may be lost; see `checker`."""
