"""What every deciding function takes and gives."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cairnfs.ids import NO_VERSION, ChunkVersion, ServerId
from cairnfs.meta.records import Record
from cairnfs.wire.base import Reply
from cairnfs.wire.common import Member

R = TypeVar("R", bound=Reply)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a new chunk goes: chosen by the master's placement before, since it needs volatile state."""

    members: list[Member]
    primary: ServerId
    version: ChunkVersion


@dataclass(frozen=True, slots=True)
class Choice:
    """What cannot be decided from the tables: the time, places, new versions."""

    now_ns: int
    placement: Placement | None = None
    barrier: ChunkVersion = NO_VERSION
    """For Truncate: a new version as reader barrier for shared chunks that the file leaves (rule 9)."""
    recalls: bool = True
    """Contract 1: a repeated request gets its first result. False only where a simulation switches that off."""
    holds_quotas: bool = True
    """Hard limits of folders hold. False only where a simulation switches that off."""


@dataclass(frozen=True, slots=True)
class Decision(Generic[R]):
    """What happens, and what is answered once it is durable. No records: nothing changes."""

    reply: R
    records: list[Record] = field(default_factory=list)
