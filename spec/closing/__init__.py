"""Closing, sealing and opening again: one chunk on two servers. Rules 4, 11, 17 and 18; contracts 3, 4 and 5.

Each mutation is a plain write that also extends the chunk: its number is the length after it, the last one is what a
reader sees. A close flushes every member, stores `closed` with the length on each, on the primary last, and is then
reported to the master, which logs it. A raise is one step here: the core model takes it apart.
"""
