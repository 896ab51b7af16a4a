"""WHAT A SERVER SAYS ABOUT ITSELF: log formats and counters. Knows nobody above; no HTTP."""
