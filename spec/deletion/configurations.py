"""The configurations and ablations of the deletion model."""

from dataclasses import replace

from spec.configuration import Ablation, Configuration, Part, Progress
from spec.deletion.model import Deletion, is_gone
from spec.deletion.state import PURGED, Bounds, Safeguards, State

STALE = Bounds(holders=0b111)
"""A and B are members; C has an old copy."""
COPIED_AGAIN = Bounds(holders=0b111, failures=2, copies=1)
TAKEN_OVER = Bounds(holders=0b111, failures=1, copies=1, takeover=True)
DEPOSED = replace(TAKEN_OVER, raises=1, copies=0)
ROLLED_BACK = Bounds(holders=0b011, raises=1, takeover=True, rollback=True)
"""The chunk moves to other servers; then a master comes that does not know it."""
TRASHED = Bounds(holders=0b111, changes=3, failures=1)


def _holds(name: str, bounds: Bounds, *, is_short: bool = False) -> Configuration:
    return Configuration(name, lambda: Deletion(bounds), is_short)


def _off(name: str, safeguard: str, bounds: Bounds) -> Ablation:
    off: dict[str, bool] = {safeguard: False}
    safeguards = replace(Safeguards(), **off)
    return Ablation(name, safeguard, lambda: Deletion(bounds, safeguards))


def _purged_and_gone(state: State) -> bool:
    return state.record.status == PURGED and is_gone(state)


def _not_purged(state: State) -> bool:
    return state.record.status != PURGED


DELETION = Part(
    "deletion",
    (
        _holds("stale copies, failures, copies again", COPIED_AGAIN, is_short=True),
        _holds("stale copies, a raise", Bounds(holders=0b111, raises=1, failures=1), is_short=True),
        _holds("too many copies", Bounds(holders=0b111, members=0b111, failures=2, copies=1), is_short=True),
        _holds("a deposed master", TAKEN_OVER),
        _holds("a deposed master and a raise", DEPOSED),
        Configuration(
            "a deposed master and a raise, servers remember no log position",
            lambda: Deletion(DEPOSED, Safeguards(notice_by_log=False)),
        ),
        _holds("metadata rolled back", ROLLED_BACK, is_short=True),
        _holds("metadata rolled back, failure", replace(ROLLED_BACK, failures=1)),
        _holds("trash, undelete, purge", TRASHED, is_short=True),
        _holds("trash, undelete, purge, takeover", replace(TRASHED, takeover=True, failures=0)),
    ),
    (
        Ablation(
            "lower epochs are refused (servers remember no log position)",
            "refuse_lower_epoch",
            lambda: Deletion(DEPOSED, Safeguards(refuse_lower_epoch=False, notice_by_log=False)),
        ),
        _off("exact version", "exact_version", Bounds(holders=0b111, raises=1, failures=1)),
        _off("exact copy", "exact_copy", COPIED_AGAIN),
        _off("keep the last copy", "keep_last_copy", Bounds(holders=0b111, failures=2, copies=1)),
        replace(
            _off("safe start", "safe_start", replace(ROLLED_BACK, failures=1)),
            redundant="a deletion needs enough copies confirmed to this very master, and who holds what the record "
            "forgot shows that itself; it is kept so that one silent server is not judged by the others",
        ),
        _off("safe mode", "safe_mode", replace(ROLLED_BACK, failures=1)),
        _off("rollback noticed by the log", "notice_by_log", replace(ROLLED_BACK, failures=1)),
        _off("brake", "brake", Bounds(holders=0b111, raises=2)),
    ),
    progress=(
        Progress(
            "a purged chunk can always go", lambda: Deletion(TRASHED), _purged_and_gone, _not_purged, is_short=True
        ),
    ),
)
