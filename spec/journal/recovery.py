"""Power losses, and what a restart finds: as `chunkserver/recovery.py` and `replay.py`."""

from collections.abc import Iterator
from itertools import product

from spec.explore import Label, Property, ViolationError
from spec.journal.state import Record, Safeguards, Sector, Slot, State, Sums, Table
from spec.journal.table import cut, flush, write

VERIFIABLE = Property("every block can be verified", "rules 15 and 16; contract 7", "some slot fits the bytes")
ACKED_READABLE = Property("acknowledged bytes are readable", "contracts 2 and 5", "the state found is not older")

Steps = Iterator[tuple[Label, State]]


def power_losses(state: State) -> Steps:
    """The power fails: each sector keeps one of its values; of the journal a beginning is left."""
    if not state.losses:
        return
    choices = [(sector.durable, *sector.cached) for sector in state.sectors]
    pairs = (state.sums.durable, *state.sums.cached)
    for *values, pair in product(*choices, pairs):
        found = "".join(str(value) for value in values)
        after = State(
            sectors=tuple(Sector(value) for value in found),
            sums=Sums(pair),  # type: ignore[arg-type]  # the last of the product
            sealed=state.sealed,
            current=state.current,
            next=state.next,
            safe=state.safe,
            losses=state.losses - 1,
            is_recovering=True,
        )
        yield ("the power fails and leaves the sectors {}, the slots {}", found, _shown(after.sums)), after


def _shown(sums: Sums) -> str:
    return " ".join(f"{slot.stamp}:{slot.content or '-'}" if slot else "none" for slot in sums.newest)


def recover(state: State, safeguards: Safeguards) -> State:
    """Write the journal's bytes to their places, find the newest state that fits; nothing is flushed yet.

    Raises:
        ViolationError: there is none, or it is older than what was acked.
    """
    records = (*state.sealed, *state.current)
    cuts = [record for record in records if record.kind == "cut"]
    sectors = _replayed(state.sectors, records, cuts, safeguards)
    slots = [slot for slot in state.sums.newest if slot is not None]
    slots += [record.slot for record in records]
    slots = [slot for slot in slots if len(slot.content) <= _cut_after(cuts, slot.stamp)]
    content = "".join(sector.newest for sector in sectors)
    fitting = [slot for slot in slots if content.startswith(slot.content)]
    best = max(fitting, key=lambda slot: slot.stamp, default=None)
    if best is None and state.safe:
        raise ViolationError(VERIFIABLE, f"no slot fits the sectors {content}; {_names(slots)} were found")
    if best is not None and best.stamp < state.safe:
        raise ViolationError(ACKED_READABLE, f"mutation {state.safe} was acked, but {best.stamp} is found")
    length = len(best.content) if best is not None else 0
    stamp = max((slot.stamp for slot in slots), default=0)
    return state._replace(
        sectors=cut(sectors, length),
        sums=state.sums._replace(cached=(*state.sums.cached, (best, None))),
        table=Table(newest=best, kept=best, side=0 if best else 1, submitted=length, stamp=stamp),
        safe=best.stamp if best is not None else 0,
    )


def _names(slots: list[Slot]) -> str:
    return ", ".join(f"{slot.stamp}:{slot.content}" for slot in slots) or "none"


def _cut_after(cuts: list[Record], stamp: int) -> int:
    return min((record.start for record in cuts if record.slot.stamp > stamp), default=1_000_000)


def _replayed(
    sectors: tuple[Sector, ...], records: tuple[Record, ...], cuts: list[Record], safeguards: Safeguards
) -> tuple[Sector, ...]:
    in_place = max((record.slot.stamp for record in records if record.kind == "slots"), default=0)
    for record in records:
        if record.kind not in ("write", "redo") or (safeguards.replay_only_newer and record.slot.stamp <= in_place):
            continue
        end = _cut_after(cuts, record.slot.stamp)
        sectors = write(sectors, record.start, record.data[: max(0, end - record.start)])
    return sectors


def recoveries(state: State, safeguards: Safeguards) -> Steps:
    """The restart, in two steps: the power may fail again between them, and all is done anew."""
    if state.table == Table() and state.safe >= 0 and not state.sums.cached:
        found = recover(state, safeguards)
        if not safeguards.flush_before_forgetting:
            found = found._replace(sealed=(), current=(), is_recovering=False)
        yield ("recovery finds {}", found.table.content or "nothing"), found
    else:
        after = state._replace(
            sectors=flush(state.sectors),
            sums=Sums(state.sums.newest),
            sealed=(),
            current=(),
            is_recovering=False,
        )
        yield ("recovery has flushed all, and removes the journal",), after
