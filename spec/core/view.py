"""What a replica may show, and what it becomes by a reconciliation. Rules 6, 7 and 12. Pure."""

from spec.core.safeguards import Bounds, Safeguards
from spec.core.state import (
    APPENDS,
    MEMBERS,
    NO_RESULT,
    Replica,
    Version,
    appended,
)


class View:
    """Pure functions of one configuration."""

    def __init__(self, bounds: Bounds, safeguards: Safeguards) -> None:
        self.bounds = bounds
        self.safeguards = safeguards

    def is_extension(self, data: str, place: int) -> bool:
        """True if the mutation at `place` began at or after the length of its moment. Rule 6."""
        if data[place] in APPENDS:
            return True
        return self.bounds.is_empty and all(one in APPENDS for one in data[:place])

    def overwrites(self, replica: Replica) -> bool:
        """True if a write of the cell begins below the length with which the version opened. Rule 6."""
        base = replica.data[: len(replica.data) - replica.serial]
        return not self.bounds.is_empty or any(one not in APPENDS for one in base)

    def _is_shown(self, replica: Replica, version: Version, place: int) -> bool:
        base = len(replica.data) - replica.serial
        if place < replica.certain:
            return True
        if place >= base:
            return place - base < version.committed
        waits = self.safeguards.adopted_wait_for_fence and not version.fence_done
        return version.phase != NO_RESULT and (not waits or self.is_extension(replica.data, place))

    def readable(self, replica: Replica, version: Version) -> tuple[bool, int]:
        """Return (the cell may be read, how many appends may be read)."""
        if not self.safeguards.watermark:
            return True, len(appended(replica.data))
        is_cell, count, is_run = True, 0, True
        for place, one in enumerate(replica.data):
            is_shown = self._is_shown(replica, version, place)
            if one in APPENDS:
                is_run = is_run and is_shown
                count += is_run
            elif not is_shown:
                is_cell = False
        return is_cell, count

    def certain(self, replica: Replica, version: Version) -> int:
        """Return how many mutations at the front are known to be everywhere, the fence included.

        After a restart nothing is: it was only known in memory.
        """
        if not replica.unbroken and not replica.is_reconciled:
            return 0
        if not self.safeguards.overwrite_by_moment and self.bounds.is_empty and not self.overwrites(replica):
            return len(replica.data)
        count = 0
        while count < len(replica.data) and self._is_shown(replica, version, count):
            count += 1
        return count

    def reconciled(self, replica: Replica, source: Replica, versions: tuple[Version, ...], version: int) -> Replica:
        """Return what a target holds afterwards. Rule 12."""
        is_equal = (replica.version, replica.serial, replica.data) == (source.version, source.serial, source.data)
        data, basis = self._content(replica, source, is_equal=is_equal)
        certain = self.certain(basis, versions[basis.version])
        keeps_filter = is_equal and not self.safeguards.filter_is_reconciled
        return replica._replace(
            version=version,
            serial=0,
            certain=min(certain, len(data)),
            data=data,
            flushed=data,
            unbroken=replica.unbroken
            or versions[version].phase != NO_RESULT
            or not self.safeguards.only_a_result_heals,
            is_reconciled=True,
            forgotten=replica.forgotten if keeps_filter else source.forgotten,
        )

    def _content(self, replica: Replica, source: Replica, *, is_equal: bool) -> tuple[str, Replica]:
        """Return the bytes, and the replica whose knowledge of what is certain goes with them."""
        how = self.safeguards.reconcile
        missing = len(appended(source.data)) - len(appended(replica.data))
        if how == "copy":
            # An equal replica keeps what it knows itself to be pending.
            return source.data, replica if is_equal else source
        if how == "pad":
            return replica.data + "Z" * missing, replica
        if how == "none" or not missing:
            return replica.data, replica
        return source.data, source

    def sources(
        self, candidates: int, members: int, targets: int, replicas: tuple[Replica, ...]
    ) -> tuple[list[int], bool]:
        """Return who may be the source, and True if continuity is broken with it. Rule 12."""
        nodes = MEMBERS[candidates]
        fit = [node for node in nodes if replicas[node].unbroken or not self.safeguards.unbroken_source]
        if fit:
            if self.bounds.any_source:
                return fit, False
            best = max(
                fit,
                key=lambda node: (
                    replicas[node].version,
                    replicas[node].serial,
                    len(appended(replicas[node].data)),
                    -node,
                ),
            )
            return [best], False
        if nodes and not members & ~targets and candidates == members:
            return [max(nodes, key=lambda node: (len(replicas[node].data), -node))], True
        return [], False

    def is_open(self, version: Version) -> bool:
        """True once the result is logged: `Open` may have reached any member. Before that, nothing is served."""
        return version.phase != NO_RESULT

    def takes_orders(self, replica: Replica, number: int) -> bool:
        """True if the replica is a primary or member at work at exactly this version."""
        return replica.promised == number == replica.version
