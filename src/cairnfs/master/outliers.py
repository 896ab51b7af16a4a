"""Which servers are much slower than their peers. Pure.

A disk that is about to die answers slowly for a long time before it fails, and holds up all who write through it.
Ours: GFS leaves it to its operators. Compared with the others, not with a fixed time: what is slow for a flash disk is
not for a busy hard disk.
"""

from collections.abc import Mapping
from statistics import median

from cairnfs.ids import ServerId

FACTOR = 4.0
LEAST_S = 0.1
"""Whatever the others do, faster than this is not slow."""
PEERS_MIN = 3


def outliers(latencies: Mapping[ServerId, float]) -> list[ServerId]:
    """Return the servers whose slowest disk takes more than four times what the middle one takes, in seconds.

    Those that did too little to say are 0, and are left out. Fewer than half are ever returned.
    """
    known = {server: seconds for server, seconds in latencies.items() if seconds > 0.0}
    if len(known) < PEERS_MIN:
        return []
    limit_s = max(FACTOR * median(known.values()), LEAST_S)
    return [server for server, seconds in known.items() if seconds > limit_s]
