"""THE MASTER: names, chunks, versions and leases, and the care for replicas. GFS paper, sections 2.4, 3.1, 3.4 and 4.

    reign        what all parts share               sessions      who lives            membership   its handlers
    inventory    who holds what                     comparing     what a replica is worth, pure
    exclusions   rules 5, 6 and 9                   leases        who orders mutations, until when
    granting     telling servers until they know    placement     where replicas go, pure          choosing
    raise_plan   rule 12, pure                      raise_steps   promise and reconcile            raising   rule 3
    locate       places and leases for clients      snapshot      section 3.4
    repair       what to copy next, pure            repairing     copying              garbage      rules 22 and 23
    background   the timers                         serve_*       one per wire module  status       for people
    server       all of it together

Durable state is in `meta`; everything here is volatile and rebuilt from reports and heartbeats.
"""
