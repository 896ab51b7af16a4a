"""THE MASTER: names, chunks, versions and leases, and the care for replicas. GFS paper, sections 2.4, 3.1, 3.4 and 4.

    reign          what all parts share: epoch, versions, store, orders     sessions     who lives (membership)
    inventory      who holds what (memory only)                            exclusions   rules 5, 6, 9
    leases         who orders mutations, until when                        raise_plan   rule 12, pure
    raising        rule 3                                                  locate       places and leases for clients
    placement      where new replicas go, pure                             snapshot     section 3.4
    repair         what to copy next, pure      repairing   copying        garbage      rules 22 and 23
    background     the timers                   serve_*     one per wire module         server   all of it together

Durable state is in `meta`; everything here is volatile and rebuilt from reports and heartbeats.
"""
