"""THE CLIENT LIBRARY: files and folders of a cluster for programs. GFS paper, sections 2.3, 2.7 and 3.

    filesystem   Client: names, whole files            file        File: one open file, with a position
    connection   the masters, retries, sequences       locations   bounded cache of chunk places
    reading      byte ranges of a file                 replicas    one piece, from whoever answers first (hedging)
    hedging      when a second one is asked            writing     pipelined writes, kept until they are synced
    appending    record append, at least once          records     self-checking frames inside appended files
    mutating     lease, push, order: what all changes of a chunk share
    blocking     the same without await

A client caches chunk places for a bounded time, no file data beyond read-ahead and unsynced writes.
"""
