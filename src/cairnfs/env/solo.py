"""The coordinator of a master that is alone: a durable counter in its own store. Rule 1.

Its proof is the lock on the store: no second process can have opened it.
"""

from collections.abc import Sequence

from cairnfs.env import MetaRead, MetaStore, MetaWrite, Outcome
from cairnfs.ids import Epoch

TABLE = "solo"
KEY = b"epoch"


def _raise_epoch(tx: MetaWrite) -> Epoch:
    row = tx.get(TABLE, KEY)
    epoch = int.from_bytes(row, "big") + 1 if row is not None else 1
    tx.put(TABLE, KEY, epoch.to_bytes(8, "big"))
    return Epoch(epoch)


def read_epoch(view: MetaRead) -> Epoch:
    """Return the epoch of the last master of this store; 0 if none ever led."""
    return Epoch(int.from_bytes(view.get(TABLE, KEY) or b"", "big"))


def set_epoch(tx: MetaWrite, epoch: Epoch) -> None:
    """Let the next master lead in a later epoch than this. Rule 1: it only grows."""
    assert epoch >= read_epoch(tx), (epoch, read_epoch(tx))
    tx.put(TABLE, KEY, epoch.to_bytes(8, "big"))


class SoloCoordinator:
    """Always leads while its store works."""

    def __init__(self, store: MetaStore) -> None:
        self._store = store
        self._epoch: Epoch | None = None

    async def campaign(self) -> Epoch:
        """Raise the counter durably and return it. Errors of `MetaStore.write`; then this master must not start."""
        self._epoch = await self._store.write(_raise_epoch)
        return self._epoch

    async def prove(self) -> bool:
        return self._epoch is not None and self._store.healthy

    def append(self, records: Sequence[bytes], epoch: Epoch) -> Outcome:
        """Solo: the commit of the store itself is the log."""
        assert self._epoch is not None, "append before campaign"
        return Outcome.COMMITTED if epoch == self._epoch else Outcome.LOST
