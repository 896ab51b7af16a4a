import pytest
from tests.unit.meta.support import NOW_NS, Caller

from cairnfs.errors import BadRequestError, CairnError, ExistsError, NotFoundError, UnsureError
from cairnfs.ids import Sequence
from cairnfs.meta import read
from cairnfs.meta.check import check
from cairnfs.meta.commands import ForgetClients
from cairnfs.meta.decide import answer
from cairnfs.wire.common import Once
from cairnfs.wire.namespace import CreateFile, Delete, MakeFolder, Rename, Truncate


@pytest.fixture
def caller():
    return Caller()


def repeated(caller, request):
    """Ask again; nothing may change."""
    before = caller.store.dump()
    result = caller.result(request)
    assert caller.store.dump() == before
    return result


def test_a_repeated_request_gets_the_first_reply(caller):
    request = CreateFile(path=b"/f", with_chunk=True, once=caller.once())
    first = caller.ask(request, caller.placement(1, 2))
    assert first.first is not None
    assert repeated(caller, request) == first
    caller.ask(Delete(path=b"/f", once=caller.once(lowest=1)))
    assert repeated(caller, request) == first


def test_a_repetition_after_others_changed_the_path_does_nothing(caller):
    other = Caller(caller.store, client=2)
    caller.do(CreateFile, path=b"/f")
    move = Rename(old=b"/f", new=b"/g", once=caller.once())
    first = caller.ask(move)
    other.now_ns = caller.now_ns
    other.do(CreateFile, path=b"/f")
    assert repeated(caller, move) == first
    assert read.status(caller.store, b"/f").attributes.inode != first.attributes.inode


def test_a_refusal_is_remembered_too(caller):
    move = Rename(old=b"/f", new=b"/g", once=caller.once())
    assert isinstance(caller.result(move), NotFoundError)
    Caller(caller.store, client=2).do(CreateFile, path=b"/f")
    again = repeated(caller, move)
    assert (type(again), again.path) == (NotFoundError, "/f")
    with pytest.raises(NotFoundError):
        answer(again)


def test_a_refusal_with_odd_bytes_is_remembered_as_it_was(caller):
    request = MakeFolder(path=b"/\xff/x", once=caller.once())
    first = caller.result(request)
    assert repeated(caller, request).path == first.path == "/\udcff/x"


def test_results_below_the_lowest_waited_for_are_forgotten(caller):
    requests = []
    for number in range(4):
        requests.append(MakeFolder(path=b"/%d" % number, once=caller.once(lowest=max(1, number))))
        caller.ask(requests[-1])
    assert caller.store.count("results") == 2
    assert isinstance(repeated(caller, requests[1]), UnsureError)
    assert repeated(caller, requests[2]).path == b"/2"


def test_lowest_never_goes_back(caller):
    caller.sequence = 9
    caller.do(MakeFolder, path=b"/a")
    caller.sequence = 19
    caller.do(MakeFolder, path=b"/b")
    late = MakeFolder(path=b"/c", once=Once(client=caller.client, sequence=Sequence(15), lowest=Sequence(10)))
    assert isinstance(caller.result(late), UnsureError)


def test_a_sequence_below_its_own_lowest_makes_no_sense(caller):
    bad = MakeFolder(path=b"/a", once=Once(client=caller.client, sequence=Sequence(3), lowest=Sequence(4)))
    assert isinstance(caller.result(bad), BadRequestError)


def test_clients_are_apart(caller):
    other = Caller(caller.store, client=2)
    caller.do(MakeFolder, path=b"/a")
    with pytest.raises(ExistsError):
        other.do(MakeFolder, path=b"/a")


def test_a_client_quiet_for_long_is_unsure_about_old_requests_and_free_to_ask_new_ones(caller):
    request = MakeFolder(path=b"/a", once=caller.once())
    caller.ask(request)
    later = caller.now_ns + 1
    assert caller.ask(ForgetClients(before_ns=NOW_NS, removed_before_ns=0)).clients == 0
    assert caller.ask(ForgetClients(before_ns=later, removed_before_ns=0)).clients == 1
    assert caller.ask(ForgetClients(before_ns=later, removed_before_ns=0)).clients == 0
    assert caller.store.count("results") == 0
    assert isinstance(repeated(caller, request), UnsureError)
    caller.do(MakeFolder, path=b"/b")
    assert caller.ask(ForgetClients(before_ns=0, removed_before_ns=caller.now_ns + 1)).clients == 1
    assert caller.store.count("clients") == 0


def test_clients_are_forgotten_in_steps(caller):
    for client in range(2, 7):
        Caller(caller.store, client=client).do(MakeFolder, path=b"/%d" % client)
    swept = caller.ask(ForgetClients(before_ns=caller.now_ns * 2, removed_before_ns=0, limit=3))
    assert (swept.clients, swept.more) == (3, True)


def test_a_refusal_that_asks_to_try_later_leaves_nothing(caller):
    before = caller.store.dump()
    assert isinstance(caller.result(CreateFile(path=b"/f", with_chunk=True, once=caller.once())), CairnError)
    assert caller.store.dump() == before
    assert check(caller.store) == []


def test_a_sequence_used_for_another_kind_of_request_is_refused(caller):
    once = caller.once()
    caller.ask(MakeFolder(path=b"/a", once=once))
    assert isinstance(repeated(caller, CreateFile(path=b"/f", once=once)), BadRequestError)


def test_numbers_that_no_key_can_hold_are_refused(caller):
    bad = MakeFolder(path=b"/a", once=Once(client=-1, sequence=Sequence(1), lowest=Sequence(1)))
    assert isinstance(caller.result(bad), BadRequestError)
    assert isinstance(caller.result(Truncate(inode=-1, length=0, once=caller.once())), NotFoundError)
    with pytest.raises(NotFoundError):
        read.find_chunks(caller.store, -1, 0, 1)
