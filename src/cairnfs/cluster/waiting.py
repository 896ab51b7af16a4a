"""Waiting for what real processes do, with a deadline. Real time: for `cluster`, the demo and end-to-end tests."""

import time
from collections.abc import Callable

POLL_S = 0.05


def wait_until(happened: Callable[[], object], timeout_s: float, *, poll_s: float = POLL_S) -> bool:
    """Return True as soon as `happened()` is true, and False when it was not within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(poll_s)
    return True
