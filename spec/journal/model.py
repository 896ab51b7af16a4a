"""The steps of a running disk, and the model."""

from collections.abc import Iterator
from dataclasses import replace

from spec.explore import Label
from spec.journal.recovery import power_losses, recoveries
from spec.journal.state import ABSENT, ZERO, Mutation, Record, Safeguards, Sector, Slot, State, Sums, Table, Work
from spec.journal.table import changed, content_after, cut, flush, flushed, pair_of, submitted, write

Steps = Iterator[tuple[Label, State]]


class JournalModel:
    """One block with a program of mutations; a `spec.explore.Model`."""

    def __init__(
        self,
        program: tuple[Mutation, ...],
        *,
        losses: int = 1,
        has_dirty_neighbour: bool = False,
        safeguards: Safeguards | None = None,
    ) -> None:
        """`has_dirty_neighbour`: another block of the replica always has bytes that are not flushed."""
        self.program = program
        self.has_dirty_neighbour = has_dirty_neighbour
        sectors = max(one.start + len(one.data) for one in program)
        self.safeguards = safeguards or Safeguards()
        self._first = State(sectors=(Sector(ABSENT),) * sectors, losses=losses)

    def initial(self) -> State:
        """An empty block."""
        return self._first

    def check(self, state: State) -> None:
        """Properties are checked by recovery."""

    def steps(self, state: State) -> Steps:
        """Everything that may happen next."""
        yield from power_losses(state)
        if state.is_recovering:
            yield from recoveries(state, self.safeguards)
            return
        if state.work is None and state.next < len(self.program):
            yield from self._begin(state, self.program[state.next])
        yield from self._go_on(state)
        if state.queue:
            yield ("the journal makes {} {} durable", state.queue[0].kind, state.queue[0].slot.stamp), _committed(state)
        yield from self._flush(state)
        yield from self._checkpoint(state)

    # ---- mutations

    def _begin(self, state: State, mutation: Mutation) -> Steps:
        table, safe = state.table, self.safeguards
        length = len(table.content)
        if not mutation.data:
            if mutation.start < length:
                yield from self._begin_cut(state, mutation)
            else:
                yield ("nothing is to be cut",), state._replace(next=state.next + 1)
            return
        if mutation.start > length:
            zeros = ZERO * (mutation.start - length)
            mutation = replace(mutation, start=length, data=zeros + mutation.data)
        slot = Slot(table.stamp + 1, content_after(table.content, mutation.start, mutation.data))
        state = state._replace(next=state.next + 1)
        if mutation.is_copied:
            yield (
                ("block {} is copied in place: {}", slot.stamp, slot.content),
                self._in_place(state._replace(safe=0), mutation, slot),
            )
        elif self._touches_flushed(table, mutation) and safe.redo_record:
            record = self._redo(table, mutation, slot)
            yield (
                ("redo record {} is submitted: {}", slot.stamp, slot.content),
                state._replace(
                    table=table._replace(stamp=slot.stamp),
                    queue=(*state.queue, record),
                    work=Work("redo", slot, record),
                ),
            )
        elif mutation.is_durable and not table.is_dirty and not self.has_dirty_neighbour:
            yield (
                ("small mutation {} is placed and submitted: {}", slot.stamp, slot.content),
                self._small(state, mutation, slot),
            )
        else:
            yield (
                ("mutation {} is written in place: {}", slot.stamp, slot.content),
                self._in_place(state, mutation, slot),
            )

    def _touches_flushed(self, table: Table, mutation: Mutation) -> bool:
        kept = len(table.kept.content) if table.kept is not None and self.safeguards.flushed_by_block else 0
        return mutation.start < max(table.submitted, table.flushing, kept)

    def _redo(self, table: Table, mutation: Mutation, slot: Slot) -> Record:
        if table.is_dirty and self.safeguards.redo_of_dirty_block_is_whole:
            return Record("redo", slot, 0, slot.content)
        return Record("redo", slot, mutation.start, mutation.data)

    def _small(self, state: State, mutation: Mutation, slot: Slot) -> State:
        record = Record("write", slot, mutation.start, mutation.data)
        table = submitted(changed(state.table, slot), slot)._replace(submitted=len(slot.content))
        is_safe = not self.safeguards.journal_before_ack
        return state._replace(
            sectors=write(state.sectors, mutation.start, mutation.data),
            table=table,
            queue=(*state.queue, record),
            work=None if is_safe else Work("record", slot),
            safe=slot.stamp if is_safe else state.safe,
        )

    def _in_place(self, state: State, mutation: Mutation, slot: Slot) -> State:
        pair = pair_of(state.table, slot, older_slot=self.safeguards.older_slot_is_written)
        return state._replace(
            sectors=write(state.sectors, mutation.start, mutation.data),
            sums=state.sums._replace(cached=(*state.sums.cached, pair)),
            table=changed(state.table, slot)._replace(is_unplaced=False),
            work=Work("flush", slot) if mutation.is_durable else None,
        )

    def _begin_cut(self, state: State, mutation: Mutation) -> Steps:
        """Rule 24: what stays must not depend on bytes that are not flushed, so a flush comes first."""
        table = state.table
        if table.is_dirty or state.flush is not None or table.newest != table.kept:
            return
        slot = Slot(table.stamp + 1, table.content[: mutation.start])
        record = Record("cut", slot, mutation.start)
        state = state._replace(next=state.next + 1, table=table._replace(stamp=slot.stamp))
        work = Work("cut", slot, record)
        if not self.safeguards.cut_by_record:
            yield ("the file is cut: {}", slot.content or "-"), self._placed_cut(state, work)
            return
        yield (
            ("cut record {} is submitted: {}", slot.stamp, slot.content or "-"),
            state._replace(queue=(*state.queue, record), work=work),
        )

    def _go_on(self, state: State) -> Steps:
        """The mutation under way takes its next step."""
        work = state.work
        if work is None:
            return
        if work.phase in ("record", "flush"):
            if state.table.kept is not None and state.table.kept.stamp >= work.slot.stamp:
                yield (
                    ("mutation {} is acked as durable", work.slot.stamp),
                    state._replace(work=None, safe=work.slot.stamp),
                )
            return
        if work.record in state.queue and self.safeguards.redo_before_place:
            return
        if work.phase == "cut":
            yield ("the file is cut: {}", work.slot.content or "-"), self._placed_cut(state, work)
        elif work.record is not None:
            yield ("mutation {} is written to its place, and acked", work.slot.stamp), self._placed(state, work)

    def _placed(self, state: State, work: Work) -> State:
        assert work.record is not None
        table = flushed(submitted(changed(state.table, work.slot), work.slot), work.slot)
        covered = table.submitted if self.has_dirty_neighbour else len(work.slot.content)
        return state._replace(
            sectors=write(state.sectors, work.record.start, work.record.data),
            table=table._replace(submitted=covered, is_unplaced=True),
            work=None,
            safe=work.slot.stamp,
        )

    def _placed_cut(self, state: State, work: Work) -> State:
        slot, table = work.slot, state.table
        newest = slot if slot.content else None
        table = table._replace(
            newest=newest,
            kept=newest,
            side=table.side ^ 1 if newest else 1,
            is_dirty=False,
            is_unplaced=True,
            submitted=len(slot.content),
        )
        is_safe = slot.stamp if self.safeguards.cut_by_record else state.safe
        return state._replace(sectors=cut(state.sectors, len(slot.content)), table=table, work=None, safe=is_safe)

    # ---- flush

    def _flush(self, state: State) -> Steps:
        table = state.table
        if state.flush is None:
            has_turn = state.work is None or state.work.phase in ("record", "flush")
            if table.is_dirty and table.newest is not None and has_turn:
                after = table._replace(flushing=len(table.content))
                yield ("a flush captures {}", table.content), state._replace(flush=table.newest, table=after)
            return
        if not state.is_file_flushed and self.safeguards.flush_before_record:
            yield ("the file is flushed",), state._replace(sectors=flush(state.sectors), is_file_flushed=True)
            return
        slot = state.flush
        length = max(table.submitted, len(slot.content))
        yield (
            ("the flushed state {} is submitted", slot.stamp),
            state._replace(
                table=submitted(table, slot)._replace(submitted=length, flushing=0),
                queue=(*state.queue, Record("slots", slot)),
                flush=None,
                is_file_flushed=False,
            ),
        )

    # ---- checkpoint

    def _checkpoint(self, state: State) -> Steps:
        if not state.sealed:
            if state.current:
                yield ("the segment is sealed",), state._replace(sealed=state.current, current=(), checkpoint=0)
            return
        if state.checkpoint == 0:
            if self._may_place(state):
                yield ("the slots are written to their place",), self._slots_placed(state)
        elif state.checkpoint == 1 and self.safeguards.flush_before_removal:
            yield (
                ("the disk is flushed",),
                state._replace(sectors=flush(state.sectors), sums=Sums(state.sums.newest), checkpoint=2),
            )
        else:
            yield ("the sealed segment is removed",), state._replace(sealed=(), checkpoint=0)

    def _may_place(self, state: State) -> bool:
        """All places of the segment's records are written, and nobody holds the turn."""
        holds = state.work is not None and state.work.phase in ("redo", "cut")
        return not holds or not self.safeguards.places_before_removal

    def _slots_placed(self, state: State) -> State:
        table, sums = state.table, state.sums
        if table.is_unplaced:
            pair = pair_of(table, table.newest, older_slot=self.safeguards.older_slot_is_written)
            sums = sums._replace(cached=(*sums.cached, pair))
        return state._replace(table=table._replace(is_unplaced=False), sums=sums, checkpoint=1)


def _committed(state: State) -> State:
    """The first record of the queue is flushed; what waits for it goes on."""
    record = state.queue[0]
    table = flushed(state.table, record.slot) if record.kind in ("write", "slots") else state.table
    return state._replace(queue=state.queue[1:], current=(*state.current, record), table=table)
