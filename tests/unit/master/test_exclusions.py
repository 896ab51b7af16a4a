"""Rules 5 and 6 without a network: when is nobody outside a set readable any more?"""

from cairnfs.ids import ChunkHandle, ChunkVersion, ServerId
from cairnfs.master.exclusions import Exclusions
from cairnfs.master.sessions import Known, Sessions
from cairnfs.wire.membership import Exclusion, Register

H = ChunkHandle(7)
OUT = Exclusion(handle=H, below=ChunkVersion(1, 5))


def book(*servers, started_s=-1000.0, now_s=0.0):
    sessions = Sessions(started_s=started_s, suspect_s=3, dead_s=10, quiet_s=60, short_s=10, epoch=1)
    for number in servers:
        sessions.known[ServerId(number)] = Known("a:1", "")
        one = sessions.begin(
            Register(server=number, boot=number, address=f"h{number}:1", disks=[], epoch_seen=0), now_s=now_s
        )
        one.reported = True
        sessions.renew_serving(one, now_s=now_s)
    return sessions, Exclusions(sessions, started_s=started_s)


def test_a_fence_is_done_when_the_excluded_server_confirms():
    _sessions, exclusions = book(1, 2, 3)
    session = exclusions.add(ServerId(3), OUT, now_s=0.0)
    assert not exclusions.is_fenced(H, [1, 2], 1.0)
    _, upto, _ = exclusions.to_tell(session)
    exclusions.confirm_upto(session, upto)
    assert exclusions.is_fenced(H, [1, 2], 1.0)


def test_a_fence_is_done_when_the_serving_lease_has_surely_ended():
    _, exclusions = book(1, 2, 3)
    exclusions.add(ServerId(3), OUT, now_s=0.0)
    assert not exclusions.is_fenced(H, [1, 2], 62.9)
    assert exclusions.is_fenced(H, [1, 2], 63.1), "60 s and the drift"


def test_who_has_seen_an_overwrite_is_waited_for_as_long_as_the_short_lease():
    sessions, exclusions = book(1, 2, 3)
    session = exclusions.add(ServerId(3), OUT, now_s=0.0, overwritten=True)
    assert not exclusions.is_fenced(H, [1, 2], 10.4)
    assert exclusions.is_fenced(H, [1, 2], 10.6), "10 s and the drift"
    exclusions.session_ended(session)
    sessions.end(session)
    assert not exclusions.is_fenced(H, [1, 2], 10.4)
    assert exclusions.is_fenced(H, [1, 2], 10.6)


def test_excluded_again_it_has_still_seen_the_overwrite():
    _, exclusions = book(1, 2, 3)
    exclusions.add(ServerId(3), OUT, now_s=0.0, overwritten=True)
    exclusions.add(ServerId(3), Exclusion(handle=H, below=ChunkVersion(1, 6)), now_s=1.0)
    assert exclusions.is_fenced(H, [1, 2], 10.6)


def test_a_replica_that_may_have_been_made_anew_has_the_long_lease_again():
    _, exclusions = book(1, 2, 3)
    exclusions.add(ServerId(3), OUT, now_s=0.0, overwritten=True)
    exclusions.took_part(ServerId(3), H)
    exclusions.add(ServerId(3), Exclusion(handle=H, below=ChunkVersion(1, 7)), now_s=1.0)
    assert not exclusions.is_fenced(H, [1, 2], 62.9)
    _, exclusions = book(1, 2, 3)
    session = exclusions.add(ServerId(3), OUT, now_s=0.0, overwritten=True)
    exclusions.confirm(session, list(session.pending))
    exclusions.add(ServerId(3), Exclusion(handle=H, below=ChunkVersion(1, 7)), now_s=1.0)
    assert not exclusions.is_fenced(H, [1, 2], 62.9)


def test_what_was_seen_is_forgotten_with_the_last_exclusion():
    sessions, exclusions = book(1, 2, 3)
    for number in (2, 3):
        session = exclusions.add(ServerId(number), OUT, now_s=0.0, overwritten=True)
        exclusions.session_ended(session)
        exclusions.report_compared(ServerId(number))
    sessions.end(sessions.of(ServerId(1)), restarted=True)
    exclusions.add(ServerId(1), OUT, now_s=0.0, overwritten=True)
    assert not exclusions._short


def test_a_server_whose_session_ended_may_serve_to_the_end_of_its_lease():
    sessions, exclusions = book(1, 2, 3)
    session = exclusions.add(ServerId(3), OUT, now_s=0.0)
    exclusions.session_ended(session)
    sessions.end(session)
    assert not exclusions.is_fenced(H, [1, 2], 30.0)
    assert exclusions.is_fenced(H, [1, 2], 64.0)


def test_a_server_excluded_while_it_has_no_session_counts_too():
    sessions, exclusions = book(1, 2, 3)
    sessions.end(sessions.of(ServerId(3)))
    assert exclusions.add(ServerId(3), OUT, now_s=5.0) is None
    assert not exclusions.is_fenced(H, [1, 2], 30.0)


def test_a_restarted_process_serves_nothing():
    sessions, exclusions = book(1, 2, 3)
    session = exclusions.add(ServerId(3), OUT, now_s=0.0)
    exclusions.session_ended(session)
    sessions.end(session, restarted=True)
    assert exclusions.is_fenced(H, [1, 2], 1.0)


def test_other_chunks_do_not_wait():
    _, exclusions = book(1, 2, 3)
    exclusions.add(ServerId(3), OUT, now_s=0.0)
    assert exclusions.is_fenced(ChunkHandle(8), [1, 2], 1.0)


def test_a_pending_fence_passes_on_to_the_next_version():
    """Goal (F18): v2 excludes 3 (pending), v3 excludes 2 and brings nobody back: both must be waited for."""
    _sessions, exclusions = book(1, 2, 3)
    exclusions.add(ServerId(3), OUT, now_s=0.0)
    second = exclusions.add(ServerId(2), Exclusion(handle=H, below=ChunkVersion(1, 6)), now_s=0.0)
    exclusions.confirm(second, list(second.pending))
    assert not exclusions.is_fenced(H, [1], 1.0)


def test_a_new_master_takes_any_unconfirmed_exclusion_for_its_own():
    _sessions, exclusions = book(1, 2, 3, started_s=0.0)
    exclusions.add(ServerId(3), Exclusion(handle=ChunkHandle(99), below=ChunkVersion(1, 5)), now_s=0.0)
    assert not exclusions.is_fenced(H, [1, 2], 1.0), "the copy-on-write that barred it may be the predecessor's"
    assert exclusions.is_fenced(H, [1, 2], 64.0)


def test_overwrites_of_a_copy_wait_for_the_barrier_of_what_it_was_copied_from():
    _, exclusions = book(1, 2, 3)
    new = ChunkHandle(8)
    session = exclusions.add(ServerId(1), Exclusion(handle=H, below=ChunkVersion(1, 9), barrier=True), now_s=0.0)
    exclusions.map_changed(new, H)
    assert not exclusions.is_fenced(new, [1, 2, 3], 1.0), "also members: they hold the old chunk too"
    exclusions.confirm(session, list(session.pending))
    assert exclusions.is_fenced(new, [1, 2, 3], 1.0)


def test_a_copy_of_a_copy_waits_for_readers_of_every_map_on_the_way():
    _, exclusions = book(1, 2, 3)
    first, second = ChunkHandle(8), ChunkHandle(9)
    exclusions.map_changed(first, H)
    session = exclusions.add(ServerId(3), OUT, now_s=0.0)
    exclusions.map_changed(second, first)
    exclusions.forget_quiet_maps(1.0)
    assert not exclusions.is_fenced(second, [1, 2], 1.0)
    exclusions.confirm(session, list(session.pending))
    exclusions.forget_quiet_maps(1.0)
    assert exclusions.is_fenced(second, [1, 2], 1.0)
