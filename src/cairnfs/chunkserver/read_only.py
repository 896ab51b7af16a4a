"""A disk that can only be read: it serves the closed replicas that it surely has, and takes nothing. Rules 4, 24, 25.

Linux mounts a file system read-only when it finds it damaged, and people do so to save what is left. Nothing may be
written, so nothing is replayed or put into quarantine: what the journal mentions, what is open and what does not fit is
named, and counts as lost here (rule 3: it is never an empty member). What is served is verified as any other replica.
"""

from cairnfs.chunkserver.format import DiskFile, Slot, sum_name
from cairnfs.chunkserver.recovery import Found, Recovered, Recovery, list_quarantine, list_replicas
from cairnfs.chunkserver.replay import Replayed, read_journal
from cairnfs.env import Files
from cairnfs.ids import ChunkHandle


class _Looking(Recovery):
    """Takes the replicas at their word, and changes nothing."""

    def _set_aside(self, handle: ChunkHandle, why: str) -> None:
        self.result.damaged.append(f"{self.files.root}/{sum_name(handle)}: {why}; not served, its disk is read-only")
        self.result.lost.append(handle)

    def _without_header(self, handle: ChunkHandle, sums: memoryview) -> None:
        self._set_aside(handle, "no intact header")

    def _finish_trash(self, handle: ChunkHandle) -> None:
        """It was on its way to the trash: gone for everybody, and its files stay."""

    def _verify_all(self, found: Found, slots: list[list[Slot]], replayed: Replayed | None) -> None:
        why = "open" if replayed is None else "the journal has more of it"
        self._set_aside(found.state.handle, why)


def look(files: Files, content: DiskFile, *, checks_place: bool = True) -> Recovered:
    """Return what a read-only folder surely has. A job.

    Raises:
        OSError: it cannot be read.
    """
    replays = read_journal(files, content.disk_id, block_bytes=content.block_bytes)
    result = Recovered(damaged=replays.damaged, epoch=replays.epoch)
    handles = list_replicas(files)
    for handle in replays.by_handle:
        handles.setdefault(handle, None)
    looking = _Looking(files, content, replays, result, 0, checks_place)
    for handle in handles:
        looking.recover_replica(handle)
    result.lost += list_quarantine(files)
    return result
