"""DURABLE METADATA of the master. Pure: it is handed a transaction and knows no clock, no network, no disk.

    command ──▶ decide (reads, refuses, chooses) ──▶ records ──▶ apply (the only function that changes tables)
                                                        └──▶ log (index, CRC chain)
    query   ──▶ read

`tables` has the rows and the invariants, `records` the facts, `commands` what the master asks besides the requests of
`wire.namespace`, `decide.execute` does the whole of a command exactly once, `check` looks for faults.
GFS paper, sections 2.6, 3.4, 4.1 and 4.4. Ours: ordered tables in LMDB instead of memory and checkpoints.
"""
