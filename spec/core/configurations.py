"""The configurations and ablations of the core model."""

from collections.abc import Callable
from dataclasses import replace

from spec.configuration import Ablation, Configuration, Part, Progress, Reach
from spec.core.model import Core
from spec.core.safeguards import Bounds, Safeguards
from spec.core.state import State
from spec.core.steps_raises import numbers_left

SOME = (1, 3, 6, 7)
"""{A}, {A B}, {B C}, {A B C}."""
A_AND_B = (3,)
ONLY_C = 4
"""Only C's serving lease ends."""
ONLY_A = 1

CUT_OFF = Bounds(mutations="W", versions=2, sets=(3, 7), clocks=ONLY_C)
"""C is cut off from the master while its serving lease lives."""
POWER = Bounds(versions=2, sets=(1, 3, 7), power=True, restarts=3)
ALL_RESTART = Bounds(mutations="WU", versions=3, tries=2, restarts=3, sets=(7,))
EVERYTHING = Bounds(
    mutations="WUX",
    versions=4,
    clocks=7,
    takeover=True,
    restarts=3,
    power=True,
    tries=2,
    any_primary=True,
    any_source=True,
    sync=True,
)


def _holds(name: str, bounds: Bounds, *, is_short: bool = False) -> Configuration:
    return Configuration(name, lambda: Core(bounds), is_short)


def _off(name: str, safeguard: str, bounds: Bounds, *, is_short: bool = True) -> Ablation:
    off: dict[str, object] = {safeguard: False}
    safeguards = replace(Safeguards(), **off)  # type: ignore[arg-type]  # all but `reconcile` are switches
    return Ablation(name, safeguard, lambda: Core(bounds, safeguards), is_short)


def _reconciles(how: str, bounds: Bounds) -> Ablation:
    safeguards = Safeguards(reconcile=how)
    return Ablation(f"reconciliation: {how}", "reconcile", lambda: Core(bounds, safeguards))


CONFIGURATIONS = (
    _holds("appends, restart, any source", Bounds(restarts=1, sets=SOME, any_source=True)),
    _holds(
        "two appends, restart, any primary, any source",
        Bounds(mutations="XY", versions=2, restarts=1, any_primary=True, any_source=True),
    ),
    _holds("appends, small", Bounds(mutations="XY", versions=2, sets=(3, 6), restarts=1), is_short=True),
    _holds("a joiner comes, others go", Bounds(versions=4, sets=(3, 4, 7), reads=False)),
    _holds("overwrite, C cut off", CUT_OFF, is_short=True),
    _holds("overwrite, C cut off, takeover", replace(CUT_OFF, takeover=True)),
    _holds("overwrite, C cut off, restart", replace(CUT_OFF, sets=SOME, restarts=1), is_short=True),
    _holds("overwrite, C cut off, two raises", replace(CUT_OFF, sets=SOME, versions=3)),
    _holds(
        "overwrite, primary cut off, takeover",
        Bounds(mutations="W", versions=2, takeover=True, sets=(6,), any_primary=True, clocks=ONLY_A),
    ),
    _holds(
        "overwrite and append, takeover",
        Bounds(mutations="WX", versions=2, takeover=True, sets=A_AND_B, clocks=ONLY_C),
    ),
    _holds("two overwrites, retry", replace(CUT_OFF, mutations="WU", tries=2, sets=SOME), is_short=True),
    _holds(
        "two writes to an empty chunk, two raises",
        replace(CUT_OFF, mutations="WU", sets=A_AND_B, versions=3, is_empty=True),
    ),
    _holds("two writes to an empty chunk", replace(CUT_OFF, mutations="WU", sets=SOME, is_empty=True), is_short=True),
    _holds(
        "two overwrites, retry, restart, two raises",
        Bounds(mutations="WU", versions=3, tries=2, restarts=1, sets=(3, 7)),
    ),
    _holds("two overwrites, retry, restart of all, raises given up", ALL_RESTART),
    _holds("plain write, sync, power loss of all", replace(POWER, mutations="W", sync=True), is_short=True),
    _holds("append, power loss of all", POWER, is_short=True),
    _holds(
        "two overwrites, retry, power loss of all",
        replace(POWER, mutations="WU", sets=(7,), tries=2),
    ),
    _holds(
        "wrong clocks, takeover: loss and conflicts",
        Bounds(mutations="WX", versions=2, wrong_clocks=True, takeover=True, sets=(3, 4), clocks=ONLY_C),
    ),
)

ABLATIONS = (
    _off(
        "commit conditional on the election",
        "conditional_commit",
        Bounds(mutations="XY", versions=2, takeover=True, sets=(1, 6), reads=False),
    ),
    replace(
        _off("chunkservers refuse lower epochs", "refuse_lower_epoch", replace(CUT_OFF, takeover=True), is_short=False),
        redundant="conditional commits, exact versions and proven leases already stop a deposed master here; "
        "deletions need it (see deletion)",
    ),
    _off("leases only from a proven leader", "proven_leader", replace(CUT_OFF, takeover=True), is_short=False),
    _off("numbers used once", "numbers_used_once", replace(CUT_OFF, takeover=True, sets=(3, 4)), is_short=False),
    _off("ack by all", "ack_by_all", Bounds(versions=2, sets=(4,), agreement=False)),
    _off("current by the record", "current_by_record", Bounds(versions=4, sets=(3, 4, 7)), is_short=False),
    _off("grant bound to the boot", "grant_bound_to_boot", Bounds(versions=2, restarts=1, sets=(6,), agreement=False)),
    _off("result after reconciling", "result_after_reconciling", Bounds(versions=3, sets=(4, 7))),
    _off(
        "a restart leaves the set",
        "restart_leaves_set",
        Bounds(mutations="W", versions=2, power=True, restarts=1, sets=(3, 6), agreement=False),
    ),
    _off("serving lease", "serving_lease", CUT_OFF),
    _off("lease from the heartbeat", "lease_from_heartbeat", CUT_OFF),
    _off("renewal carries exclusions", "renewal_carries_exclusions", CUT_OFF),
    _off("fence", "fence", CUT_OFF),
    _off("fence before the serial", "fence_before_serial", CUT_OFF),
    _off("adopted overwrites wait", "adopted_wait_for_fence", CUT_OFF),
    _off(
        "overwrite told by its moment",
        "overwrite_by_moment",
        replace(CUT_OFF, mutations="WU", sets=A_AND_B, is_empty=True),
    ),
    _off("successor assumes leases", "successor_assumes_leases", replace(CUT_OFF, takeover=True), is_short=False),
    _off("watermark, overwrite", "watermark", Bounds(mutations="W", versions=1)),
    _off("watermark, append", "watermark", Bounds(mutations="XY", versions=2, sets=(2, 6))),
    _off("end of file by a round", "end_by_round", Bounds(versions=2, sets=(2, 6))),
    _off("end of file by a round of all", "round_of_all", Bounds(versions=2, sets=(2,))),
    _off("read without lease by a round of all", "round_of_all", replace(CUT_OFF, sets=(1,))),
    _off("exact version at the member", "exact_version", Bounds(mutations="XY", versions=2, sets=(1, 3, 6))),
    _off("serial order", "serial_order", Bounds(mutations="XY", versions=1)),
    _off("filter of repeats", "filter_repeats", Bounds(mutations="WU", versions=2, tries=2, sets=(3, 6))),
    _off(
        "the filter is reconciled",
        "filter_is_reconciled",
        Bounds(mutations="WU", versions=3, tries=2, restarts=1, sets=(3, 7)),
        is_short=False,
    ),
    _off(
        "lost is not repeated",
        "lost_is_not_repeated",
        replace(POWER, mutations="WU", sets=(7,), tries=2),
        is_short=False,
    ),
    _reconciles("none", Bounds(versions=2, sets=(3, 6, 7))),
    _reconciles("pad", Bounds(versions=2, sets=(3, 6, 7))),
    _reconciles("lengths", Bounds(mutations="W", versions=2, sets=(3, 6, 7))),
    _off(
        "source with an unbroken boot",
        "unbroken_source",
        Bounds(mutations="W", versions=2, power=True, restarts=1, sets=(1, 2, 4, 6)),
    ),
    _off("only a result heals a broken boot", "only_a_result_heals", ALL_RESTART, is_short=False),
    _off(
        "sync names the version of the ack", "sync_names_version", replace(POWER, mutations="W", sync=True, sets=(7,))
    ),
    _off("flush before the ack of an append", "flush_before_append_ack", replace(POWER, sets=(7,))),
)


def _is_acked(state: State) -> bool:
    return state.operations[0].acked


def _spent(bounds: Bounds) -> Callable[[State], bool]:
    return lambda state: not numbers_left(bounds, state)


_PROGRESS = Bounds(restarts=1, tries=3, sets=(1, 3, 7), reads=False)
_SILENT = Bounds(mutations="WX", versions=2, silent=4, sets=A_AND_B)

CORE = Part(
    "core",
    CONFIGURATIONS,
    ABLATIONS,
    progress=(
        Progress("every state can still reach an ack", lambda: Core(_PROGRESS), _is_acked, _spent(_PROGRESS)),
        Progress(
            "every state can still reach an ack, small",
            lambda: Core(replace(_PROGRESS, versions=2)),
            _is_acked,
            _spent(replace(_PROGRESS, versions=2)),
            is_short=True,
        ),
    ),
    reaches=(
        Reach(
            "C silent, no time passes: append acked at v2, overwrite not",
            lambda: Core(_SILENT),
            {
                name: lambda label, name=name: "acked" in str(label[0]) and label[1] == name and label[2] == 2  # type: ignore[misc]
                for name in "WX"
            },
            expected=("X",),
            is_short=True,
        ),
    ),
    walks=(Configuration("random walks over everything at once", lambda: Core(EVERYTHING)),),
)
