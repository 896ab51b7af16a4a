"""Deciding about restores: how far the numbers leap, and when what is newer may go. Rules 1, 21 to 23."""

from cairnfs.ids import ChunkHandle, Epoch, InodeId
from cairnfs.meta.commands import AcceptRestore
from cairnfs.meta.decide.base import Choice, Decision
from cairnfs.meta.records import RestoreAccepted, Restored
from cairnfs.meta.tables import get_counters, get_restored
from cairnfs.meta.views import MetaRead
from cairnfs.units import SECOND_NS
from cairnfs.wire.base import Done

LEAP_BITS = 20
"""Numbers skipped for each second since the backup: no cluster makes a million chunks in one, or so many masters."""


def leap(number: int, *, taken_ns: int, now_ns: int, drawn: int) -> int:
    """Return a number above all that a counter, at `number` when the backup was made, can have given out since.

    `drawn`: LEAP_BITS of chance, so that one backup restored twice gives other numbers even if the clock stands still.
    """
    assert 0 <= drawn < 1 << LEAP_BITS, drawn
    seconds = 1 + max(0, now_ns - taken_ns) // SECOND_NS
    return number + (seconds << LEAP_BITS) + drawn


def restored(view: MetaRead, epoch: Epoch, *, taken_ns: int, now_ns: int, drawn: int) -> Restored:
    """Return the record that turns the tables of a backup into those of a cluster that goes on.

    `epoch`: the last one of the backup; rule 1: the masters to come lead in epochs above that of the record.
    """
    counters = get_counters(view)

    def after(number: int) -> int:
        return leap(number, taken_ns=taken_ns, now_ns=now_ns, drawn=drawn)

    return Restored(
        taken_ns=taken_ns,
        now_ns=now_ns,
        epoch=Epoch(after(epoch)),
        next_inode=InodeId(after(counters.next_inode)),
        next_handle=ChunkHandle(after(counters.next_handle)),
    )


def accept_restore(view: MetaRead, _command: AcceptRestore, choice: Choice) -> Decision[Done]:
    row = get_restored(view)
    if row is None or row.accepted_ns:
        return Decision(Done())
    return Decision(Done(), [RestoreAccepted(now_ns=choice.now_ns)])
