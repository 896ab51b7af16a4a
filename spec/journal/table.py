"""Pure changes of the table and of sectors: as `chunkserver/slots.py` makes them."""

from spec.journal.state import ABSENT, Pair, Sector, Slot, Table


def changed(table: Table, slot: Slot) -> Table:
    """Take a new state over, not flushed yet."""
    return table._replace(newest=slot, is_dirty=True, stamp=max(table.stamp, slot.stamp))


def submitted(table: Table, slot: Slot) -> Table:
    """The journal has this state in its queue."""
    is_dirty = table.is_dirty and (table.newest is None or table.newest.stamp != slot.stamp)
    return table._replace(is_dirty=is_dirty)


def flushed(table: Table, slot: Slot) -> Table:
    """A power loss cannot take this state any more."""
    if table.newest is None or (table.kept is not None and table.kept.stamp >= slot.stamp):
        return table
    return table._replace(kept=slot, side=table.side ^ 1, is_unplaced=True)


def pair_of(table: Table, newest: Slot | None, *, older_slot: bool) -> Pair:
    """Return what the sector of the slots should hold."""
    kept = table.kept
    other = newest if newest != kept else None
    if kept is None:
        kept, other = other, None
    if not older_slot and other is not None:
        return other, None
    return (other, kept) if table.side else (kept, other)


def content_after(content: str, start: int, data: str) -> str:
    """Return the valid sectors after a write."""
    return content[:start] + data + content[start + len(data) :]


def write(sectors: tuple[Sector, ...], start: int, data: str) -> tuple[Sector, ...]:
    """Write to the cache."""
    return tuple(
        sector._replace(cached=(*sector.cached, data[place - start]))
        if start <= place < start + len(data) and sector.newest != data[place - start]
        else sector
        for place, sector in enumerate(sectors)
    )


def cut(sectors: tuple[Sector, ...], length: int) -> tuple[Sector, ...]:
    """Cut the file, in the cache."""
    return write(sectors, length, ABSENT * (len(sectors) - length))


def flush(sectors: tuple[Sector, ...]) -> tuple[Sector, ...]:
    """Make what is in the cache durable."""
    return tuple(Sector(sector.newest) for sector in sectors)
