"""The properties of the core, and the monitors that check them. Pure."""

from spec.core.safeguards import Bounds
from spec.core.state import (
    APPENDS,
    MEMBERS,
    NAMES,
    OLD,
    OPEN,
    Master,
    Operation,
    Replica,
    Shown,
    State,
    Version,
    appended,
    cell_of,
    put,
)
from spec.explore import Property, ViolationError

NEVER_OLDER = Property("reads never go back", "contract 4", "no read is older than what an ack or a read has shown")
ONE_RECORD = Property("one record per offset", "contract 2", "an offset never shows or acks two different records")
ACKED_STAYS = Property("acknowledged stays", "contracts 2, 3 and 6", "each version opens with every acked mutation")
MEMBERS_AGREE = Property("members agree", "contracts 2 and 3", "members hold the same committed bytes")
END_IS_TRUE = Property("no false end", "contract 4, rule 7", "no end of file before what was acked or shown")
SYNC_IS_TRUE = Property("sync is true", "contract 5", "a synced write is flushed on every member")

PROPERTIES = (NEVER_OLDER, ONE_RECORD, ACKED_STAYS, MEMBERS_AGREE, END_IS_TRUE, SYNC_IS_TRUE)


def show_cell(shown: Shown, value: str) -> Shown:
    """A read or ack shows the cell. Raises ViolationError if something later was shown before.

    W, U and then W again is caught as well: a mutation that is applied twice (contract 3).
    """
    values = shown.cell
    if not values:
        return shown if value == OLD else shown._replace(cell=value)
    if value == values[-1]:
        return shown
    if value == OLD or value in values:
        raise ViolationError(NEVER_OLDER, f"the cell shows {value} although {values[-1]} was shown before")
    return shown._replace(cell=values + value)


def show_append(shown: Shown, offset: int, value: str, what: str) -> Shown:
    """A read or ack shows the record at an offset."""
    known = shown.appends
    if offset < len(known):
        if not known[offset]:
            return shown._replace(appends=put(known, offset, value))
        if known[offset] != value:
            raise ViolationError(ONE_RECORD, f"{what} {value} at offset {offset}, where {known[offset]} was shown")
        return shown
    return shown._replace(appends=known + ("",) * (offset - len(known)) + (value,))


def check_open(version: int, state: State, bounds: Bounds, replicas: tuple[Replica, ...]) -> None:
    """The newest version opens: its primary must hold every acked mutation."""
    if all(master is None or master.version != version for master in state.masters):
        return
    data = replicas[state.versions[version].primary].data
    for name, operation in zip(bounds.mutations, state.operations, strict=True):
        if not operation.acked or name in data:
            continue
        if name not in APPENDS and state.broken_at and not state.synced:
            continue  # contract 5: it was not synced
        raise ViolationError(ACKED_STAYS, f"version {version} opens without the acked mutation {name}")


def check_agreement(state: State) -> None:
    """Members of the newest open version hold the same committed bytes."""
    for master in state.masters:
        if master is None:
            continue
        version = state.versions[master.version]
        replica = state.replicas[version.primary]
        is_held = replica.version == replica.promised == master.version
        if version.phase == OPEN and is_held:
            _compare(state.replicas, version, master)


def _compare(replicas: tuple[Replica, ...], version: Version, master: Master) -> None:
    primary = replicas[version.primary]
    want = primary.data[: len(primary.data) - max(0, primary.serial - version.committed)]
    for node in MEMBERS[version.members]:
        replica = replicas[node]
        if replica.version != master.version or not replica.unbroken:
            continue
        if replica.serial < version.committed:
            raise ViolationError(MEMBERS_AGREE, f"{NAMES[node]} lacks a committed serial of version {master.version}")
        have = replica.data[: len(replica.data) - (replica.serial - version.committed)]
        if (appended(have), cell_of(have)) != (appended(want), cell_of(want)):
            what = f"{NAMES[version.primary]} has {want or '-'}, {NAMES[node]} has {have or '-'}"
            raise ViolationError(MEMBERS_AGREE, f"at version {master.version} {what}")


def check_sync(version: int, state: State) -> None:
    """A sync is about to be acked at this version."""
    members = MEMBERS[state.versions[version].members]
    lacking = "".join(NAMES[node] for node in members if "W" not in state.replicas[node].flushed)
    if lacking:
        raise ViolationError(SYNC_IS_TRUE, f"sync is acked at version {version}, but {lacking} lacks the write W")


def settle(operations: tuple[Operation, ...], place: int) -> tuple[Operation, ...]:
    """Return the operations with one acked."""
    return put(operations, place, operations[place]._replace(acked=True))
