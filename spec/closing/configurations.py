"""The configurations and ablations of the closing model."""

from dataclasses import replace

from spec.closing.model import Closing, without
from spec.closing.state import Bounds, State
from spec.configuration import Ablation, Configuration, Part, Progress

SMALL = Bounds()
RETRY = Bounds(versions=3, power=False, tries=2)
POWER = Bounds(restarts=2)


def _holds(name: str, bounds: Bounds, *, is_short: bool = False) -> Configuration:
    return Configuration(name, lambda: Closing(bounds), is_short)


def _off(name: str, safeguard: str, bounds: Bounds) -> Ablation:
    return Ablation(name, safeguard, lambda: Closing(bounds, without(safeguard)))


def _is_closed(state: State) -> bool:
    return state.record.is_closed


CLOSING = Part(
    "closing",
    (
        _holds("two writes, a restart, one raise", SMALL, is_short=True),
        _holds("two writes, power loss of both", POWER, is_short=True),
        _holds("retries, a restart, two raises", RETRY, is_short=True),
        _holds("retries, restarts, two raises", replace(RETRY, restarts=2)),
        _holds("retries, power losses, two raises", replace(RETRY, restarts=2, power=True)),
        _holds("three writes, two raises", Bounds(mutations="WUV", versions=2, restarts=1)),
    ),
    (
        _off("flush before closed", "flush_before_closed", POWER),
        _off("a close names the length", "close_names_length", SMALL),
        _off("the primary closes last", "primary_closes_last", POWER),
        _off("a closed replica takes no order", "closed_takes_no_order", SMALL),
        _off("a close report names its version", "report_names_version", SMALL),
        _off("opening takes closed off", "opening_clears_closed", Bounds(versions=3)),
        replace(
            _off("the source has the recorded length", "source_has_recorded_length", SMALL),
            redundant="when a close is logged all members are equal and flushed; it is kept for disks that lose "
            "what was flushed, which the model does not have",
        ),
        _off("a restart leaves an open version", "restart_leaves_open_version", SMALL),
        _off("the filter is reconciled", "filter_is_reconciled", RETRY),
        _off("what the filter forgot is not repeated", "forgotten_is_not_repeated", replace(RETRY, restarts=2)),
    ),
    progress=(
        Progress(
            "the chunk can always be closed",
            lambda: Closing(SMALL),
            _is_closed,
            lambda state: state.record.version >= SMALL.versions,
            is_short=True,
        ),
    ),
)
