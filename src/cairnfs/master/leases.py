"""Who may order mutations of which chunk, and until when. GFS paper, section 3.1; rules 2 and 3. Volatile.

The record says which version is open and who its primary is; this book says only whether the primary's time still runs.
A master that starts finds the book empty; its predecessor's leases go on and are adopted when their holders ask for
more time (a takeover disturbs no writer).

Invariants:
    1. At most one lease per chunk.
    2. The book ends later than the holder's own clock lets it believe: it counts from the answer and adds the drift.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from cairnfs.ids import BootId, ChunkHandle, ChunkVersion, ServerId
from cairnfs.limits import CLOCK_DRIFT
from cairnfs.wire.common import Member


@dataclass(slots=True, eq=False)
class Held:
    """One lease."""

    handle: ChunkHandle
    version: ChunkVersion
    primary: ServerId
    boot: BootId
    members: list[Member]
    until_s: float
    is_opened: bool
    """The primary has it; False: so far only a client carries it, as a token (new chunk)."""
    unconfirmed: dict[ServerId, None] = field(default_factory=dict)
    """Members that have not confirmed `Open`: told again with each heartbeat."""


class Leases:
    """All leases of one reign."""

    def __init__(self, *, lease_s: float) -> None:
        self._book_s = lease_s * (1 + CLOCK_DRIFT)
        self._by_chunk: dict[ChunkHandle, Held] = {}
        self._of_primary: dict[ServerId, dict[ChunkHandle, None]] = {}
        self._unconfirmed: dict[ServerId, dict[ChunkHandle, None]] = {}

    def __len__(self) -> int:
        return len(self._by_chunk)

    def get(self, handle: ChunkHandle, now_s: float) -> Held | None:
        """Return the lease if its time still runs."""
        held = self._by_chunk.get(handle)
        return held if held is not None and now_s < held.until_s else None

    def grant(
        self,
        handle: ChunkHandle,
        version: ChunkVersion,
        *,
        primary: ServerId,
        members: list[Member],
        now_s: float,
        is_opened: bool,
    ) -> Held:
        """Enter a lease at a new version; it takes the place of any older one, which is over by its raise."""
        self.drop(handle)
        boot = next(member.boot for member in members if member.server == primary)
        held = Held(handle, version, primary, boot, members, now_s + self._book_s, is_opened)
        self._by_chunk[handle] = held
        self._of_primary.setdefault(primary, {})[handle] = None
        return held

    def find(self, handle: ChunkHandle) -> Held | None:
        """Return the lease, even if its time is over."""
        return self._by_chunk.get(handle)

    def drop(self, handle: ChunkHandle, version: ChunkVersion | None = None) -> None:
        """Forget a lease: given back, superseded or over. With `version`, only that one."""
        held = self._by_chunk.get(handle)
        if held is None or (version is not None and held.version != version):
            return
        del self._by_chunk[handle]
        self._of_primary.get(held.primary, {}).pop(handle, None)
        for server in held.unconfirmed:
            self._unconfirmed.get(server, {}).pop(handle, None)

    def renew(
        self, server: ServerId, boot: BootId, asked: Iterable[tuple[ChunkHandle, ChunkVersion]], now_s: float
    ) -> tuple[list[ChunkHandle], list[tuple[ChunkHandle, ChunkVersion]]]:
        """Extend what the server holds; return (handles renewed, what this book does not know)."""
        until_s = now_s + self._book_s
        renewed: list[ChunkHandle] = []
        unknown: list[tuple[ChunkHandle, ChunkVersion]] = []
        for handle, version in asked:
            held = self._by_chunk.get(handle)
            if held is None:
                unknown.append((handle, version))
            elif held.version == version and held.primary == server and held.boot == boot:
                held.until_s = until_s
                held.is_opened = True
                renewed.append(handle)
        return renewed, unknown

    def of_primary(self, server: ServerId) -> list[ChunkHandle]:
        return list(self._of_primary.get(server, ()))

    def count_of(self, server: ServerId) -> int:
        return len(self._of_primary.get(server, ()))

    def expired(self, now_s: float) -> list[Held]:
        return [held for held in self._by_chunk.values() if now_s >= held.until_s]

    # ------------------------------------------------------------------ confirmations

    def not_confirmed(self, held: Held, server: ServerId) -> None:
        """`server` has not answered `Open`."""
        if self._by_chunk.get(held.handle) is held:
            held.unconfirmed[server] = None
            self._unconfirmed.setdefault(server, {})[held.handle] = None

    def confirmed(self, held: Held, server: ServerId) -> None:
        held.unconfirmed.pop(server, None)
        self._unconfirmed.get(server, {}).pop(held.handle, None)

    def to_repeat(self, server: ServerId) -> list[Held]:
        """Return the leases whose `Open` this server has not confirmed."""
        handles = self._unconfirmed.get(server)
        if not handles:
            return []
        return [held for handle in handles if (held := self._by_chunk.get(handle)) is not None]
