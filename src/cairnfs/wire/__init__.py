"""WHAT CROSSES THE NETWORK, by who talks to whom. Pure: bytes in, messages out; no sockets, no clock.

    base            conversation: Hello, Ping          common        shared values: Lease, ChunkPlace, Attributes
    namespace       client → master: names             locations     client → master: where, and who orders
    chunk_reads     anybody → member: bytes, lengths   mutations     client → chain and primary
    orders          primary → members                  membership    chunkserver → master
    master_orders   master → chunkserver, and copies   status        pictures for people
    operating       client → master: decisions of people
    quotas          client → master: limits of folders

`frame` and `codec` turn messages into bytes. docs/PROTOCOL.md has the byte tables.
"""

from types import ModuleType

from cairnfs.wire import (
    base,
    chunk_reads,
    locations,
    master_orders,
    membership,
    mutations,
    namespace,
    operating,
    orders,
    quotas,
    status,
)

MESSAGES: tuple[ModuleType, ...] = (
    base,
    namespace,
    locations,
    chunk_reads,
    mutations,
    orders,
    membership,
    master_orders,
    status,
    operating,
    quotas,
)
"""The modules whose Request and Reply classes are the protocol."""
