"""The estimates of when tasks end."""
