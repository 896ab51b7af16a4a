"""Finds servers for new replicas: gives `placement` what it needs to know of the moment. GFS paper, section 4.2."""

from cairnfs.errors import TooFewCopiesError
from cairnfs.ids import ServerId
from cairnfs.master.placement import Candidate, Wish, choose_servers, machine_of
from cairnfs.master.reign import Reign
from cairnfs.meta.decide import Placement
from cairnfs.wire.common import Member

CANDIDATES_MAX = 64
"""Servers looked at for one choice: beyond, a drawn sample, so that a choice costs the same in any cluster."""


class Choosing:
    """Chooses sets for new chunks and targets for copies."""

    def __init__(self, reign: Reign) -> None:
        self._reign = reign

    def placement(self, goal: int, *, near: str) -> Placement:
        """Return set, primary and version for a new chunk.

        Raises:
            TooFewCopiesError: fewer servers with room than rule 19 wants. Nothing was changed.
        """
        reign = self._reign
        chosen = self.choose(goal, near=near, without=(), racks=())
        if len(chosen) < goal:
            # Rather a slow server, or one that may be away for a while, than a copy less.
            servers, racks = tuple(one.server for one in chosen), tuple(one.rack for one in chosen if one.rack)
            chosen += self.choose(goal - len(chosen), near=near, without=servers, racks=racks, spared=True)
        need = goal if reign.is_young else reign.copies_needed(goal)
        if len(chosen) < need:
            raise TooFewCopiesError(what="a new chunk", have=len(chosen), need=need)
        members = [Member(server=one.server, boot=one.boot, address=one.address) for one in chosen]
        return Placement(members=members, primary=members[0].server, version=reign.next_version())

    def note_created(self, members: list[Member]) -> None:
        """A chunk was made there: it counts as a recent creation (writing follows)."""
        now_s = self._reign.now_s()
        for member in members:
            session = self._reign.sessions.of(member.server)
            if session is not None:
                session.creations.append(now_s)

    def choose(
        self, count: int, *, near: str, without: tuple[ServerId, ...], racks: tuple[str, ...], spared: bool = False
    ) -> list[Candidate]:
        """Return up to `count` live servers with room, none of them in `without`, racks not in `racks` first.

        Then machines that none of `without` is on. `spared`: also servers that are slow or in maintenance; never those
        that are to be emptied.
        """
        reign = self._reign
        now_s = reign.now_s()
        draw = reign.env.random.random
        sessions = [
            one
            for one in reign.sessions.live(now_s)
            if one.reported
            and one.server not in without
            and not (reign.is_to_be_emptied(one) if spared else reign.is_spared(one))
        ]
        if len(sessions) > CANDIDATES_MAX:
            nearest = [one for one in sessions if near and one.address == near]
            sessions = nearest + reign.env.random.sample(
                [one for one in sessions if one not in nearest], CANDIDATES_MAX
            )
        candidates = [
            Candidate(
                server=one.server,
                boot=one.boot,
                address=one.address,
                rack=one.rack,
                free_bytes=one.room_bytes(reign.identity.chunk_bytes),
                total_bytes=one.total_bytes,
                writing=reign.leases.count_of(one.server),
                recent=one.recent_creations(now_s),
            )
            for one in sessions
        ]
        wish = Wish(
            count=count,
            chunk_bytes=reign.identity.chunk_bytes,
            recent_max=reign.config.recent_creations_max,
            near=near,
            avoid_racks=racks,
            avoid_machines=tuple(
                machine_of(one.address) for server in without if (one := reign.sessions.of(server)) is not None
            ),
        )
        return choose_servers(candidates, wish, [draw() for _ in candidates])
