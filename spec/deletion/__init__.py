"""Deleting the replicas of one closed chunk on three servers, with a goal of two copies. Rules 21 to 23.

The record (version, members, used, in the trash, purged) is the log's. Each master deletes by its own picture: the
record as it knows it, and what servers have reported to it. A deposed master goes on with the picture of its last
moment, and a master may begin with an old copy of the metadata (*rolled back*). Orders of deletion arrive at any later
time, and again. Failures take single replicas away, at most as many as the configuration says.
"""
