"""Scenarios that other systems of this kind have failed at, each a test named after its number. See `playing`."""
