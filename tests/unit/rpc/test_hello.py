"""Each side checks the other by itself: neither relies on the other's check."""

import pytest

from cairnfs.errors import BusyError, PeerError, ProtocolVersionError, WrongClusterError
from cairnfs.limits import PROTOCOL_MAX
from cairnfs.rpc.hello import check_hello, check_welcome
from cairnfs.wire.base import Hello, Welcome
from cairnfs.wire.codec import encode_failure, encode_message
from cairnfs.wire.frame import FrameKind


def hello(cluster="", low=1, high=PROTOCOL_MAX):
    return encode_message(Hello(protocol_min=low, protocol_max=high, cluster=cluster, role="test", boot=1))


def welcome(cluster="", protocol=1):
    return encode_message(Welcome(protocol=protocol, cluster=cluster, role="server", boot=1))


@pytest.mark.parametrize("ours, theirs", [("", ""), ("a", ""), ("", "a"), ("a", "a")])
def test_clusters_agree_if_they_are_the_same_or_one_is_unknown(ours, theirs):
    assert check_hello(hello(theirs), cluster=ours, me="x")[1] == 1
    assert check_welcome(FrameKind.REPLY, welcome(theirs), cluster=ours, peer="x").cluster == theirs


def test_the_server_refuses_a_caller_of_another_cluster():
    with pytest.raises(WrongClusterError):
        check_hello(hello("a"), cluster="b", me="x")


def test_the_caller_refuses_a_server_of_another_cluster():
    with pytest.raises(WrongClusterError):
        check_welcome(FrameKind.REPLY, welcome("a"), cluster="b", peer="x")


def test_the_highest_version_that_both_know_is_spoken():
    assert check_hello(hello(high=PROTOCOL_MAX + 7), cluster="", me="x")[1] == PROTOCOL_MAX
    with pytest.raises(ProtocolVersionError):
        check_hello(hello(low=PROTOCOL_MAX + 1, high=PROTOCOL_MAX + 2), cluster="", me="x")
    with pytest.raises(ProtocolVersionError):
        check_welcome(FrameKind.REPLY, welcome(protocol=PROTOCOL_MAX + 1), cluster="", peer="x")


def test_a_refusal_is_raised_as_it_was_sent_and_anything_else_is_a_peer_error():
    with pytest.raises(BusyError):
        check_welcome(FrameKind.FAILURE, encode_failure(BusyError(what="x")), cluster="", peer="x")
    with pytest.raises(PeerError):
        check_welcome(FrameKind.REQUEST, hello(), cluster="", peer="x")
