"""docs/PROTOCOL.md lists every message with its fields in their order."""

from tests.support import messages


def test_the_page_lists_every_message() -> None:
    assert messages.table() in messages.PAGE.read_text(), "write it anew: python -m tests.support.messages"
