"""The configurations and ablations of the journal model."""

from dataclasses import replace

from spec.configuration import Ablation, Configuration, Part
from spec.journal.model import JournalModel
from spec.journal.state import Mutation, Safeguards

APPEND_OVERWRITE = (Mutation(0, "a", True), Mutation(1, "b", True), Mutation(0, "c"), Mutation(0, "d", True))
MIXED = (Mutation(0, "a", True), Mutation(1, "b"), Mutation(0, "c"), Mutation(1, "d", True))
PLAIN = (Mutation(0, "a"), Mutation(1, "b"), Mutation(0, "cd", True), Mutation(0, "ef"))
CUTS = (Mutation(0, "ab", True), Mutation(1, ""), Mutation(1, "c"), Mutation(1, "d", True))
AGAIN = (Mutation(0, "a", True), Mutation(1, "b"), Mutation(0, "c"), Mutation(1, "d"), Mutation(0, "e", True))
COPIED = (Mutation(0, "a", True), Mutation(0, "bc", True, is_copied=True), Mutation(0, "d", True))
THREE = (Mutation(0, "a", True), Mutation(1, "bc"), Mutation(0, "de"), Mutation(2, "f", True))


def _holds(name: str, program: tuple[Mutation, ...], *, losses: int = 1, is_short: bool = False) -> Configuration:
    return Configuration(name, lambda: JournalModel(program, losses=losses), is_short)


def _beside(name: str, program: tuple[Mutation, ...], *, losses: int = 1, is_short: bool = False) -> Configuration:
    return Configuration(name, lambda: JournalModel(program, losses=losses, has_dirty_neighbour=True), is_short)


def _off(
    name: str, safeguard: str, program: tuple[Mutation, ...], *, losses: int = 1, has_dirty_neighbour: bool = False
) -> Ablation:
    off: dict[str, bool] = {safeguard: False}
    safeguards = replace(Safeguards(), **off)

    def make() -> JournalModel:
        return JournalModel(program, losses=losses, has_dirty_neighbour=has_dirty_neighbour, safeguards=safeguards)

    return Ablation(name, safeguard, make)


JOURNAL = Part(
    "journal",
    (
        _holds("appends, then overwrites of flushed bytes", APPEND_OVERWRITE, is_short=True),
        _holds("durable and plain mutations of one block", MIXED, is_short=True),
        _holds("plain writes and a synced one", PLAIN, is_short=True),
        _holds("a cut, and growth behind it", CUTS, is_short=True),
        _beside("the next block is dirty", AGAIN, is_short=True),
        _beside("the next block is dirty, two power losses", AGAIN, losses=2),
        _beside("the next block is dirty, a cut", CUTS),
        _holds("copied over by a reconciliation", COPIED, is_short=True),
        _holds("three sectors", THREE),
        _holds("appends and overwrites, two power losses", APPEND_OVERWRITE, losses=2),
        _holds("mixed mutations, two power losses", MIXED, losses=2),
        _holds("a cut, two power losses", CUTS, losses=2),
    ),
    (
        _off("redo record", "redo_record", APPEND_OVERWRITE),
        _off("what is flushed is told by block", "flushed_by_block", AGAIN, has_dirty_neighbour=True),
        _off("redo record flushed before the place", "redo_before_place", APPEND_OVERWRITE),
        _off("the redo of a dirty block is whole", "redo_of_dirty_block_is_whole", MIXED),
        _off("the older slot is written", "older_slot_is_written", MIXED),
        _off("journal before the ack", "journal_before_ack", APPEND_OVERWRITE),
        _off("file flushed before its record", "flush_before_record", PLAIN),
        _off("places written before the segment goes", "places_before_removal", APPEND_OVERWRITE),
        _off("places flushed before the segment goes", "flush_before_removal", APPEND_OVERWRITE),
        _off("replay only what is newer", "replay_only_newer", COPIED),
        _off("a cut goes through the journal", "cut_by_record", CUTS),
        _off("recovery flushes before it forgets", "flush_before_forgetting", APPEND_OVERWRITE, losses=2),
    ),
)
