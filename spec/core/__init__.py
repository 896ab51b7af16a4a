"""One chunk on three servers: leases, versions, raises, reads, mutations. Rules 1 to 12 and 14.

Three replicas A B C, a master with a durable log, and at most one successor with a higher epoch while the deposed one
goes on acting. Mutations: appends X and Y; W and U overwrite one cell. Readers ask any replica with any location that
they ever cached.

Time: `tick` lowers every serving lease (one tick on the server's clock, two in the master's book). The lease of a
primary never ends here: no promise may rest on its time (contract 6), so one that believes in itself for ever is the
harder case. A lease can only be ended by what ends it in rule 2.

Reads are single steps, but for those by a round of the members: the latest invocation and the earliest return are the
hardest case. A round is begun only where its answer would be stale; it must then never succeed.
"""
