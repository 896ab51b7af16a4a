"""Which server is compared now: after a start one after another, so that the first serves as soon as possible. Ours.

All together take as long either way, and side by side each is done only at the end. A report of one page waits for
nobody. Whoever has the turn and says nothing for a while loses it, and may go on beside the next: the line is about
speed only, never about what is true.
"""

import asyncio
from collections import deque

from cairnfs.limits import REPORT_TURN_S, REPORT_WAIT_S
from cairnfs.master.reign import Reign
from cairnfs.master.sessions import Session


class Line:
    """Sessions with a long report, in the order in which they came."""

    def __init__(self, reign: Reign) -> None:
        self._reign = reign
        self._turn: int = 0
        """Number of the session that is being compared; 0: none."""
        self._heard_s = 0.0
        self._waiting: deque[asyncio.Event] = deque()

    async def enter(self, session: Session) -> bool:
        """Wait for the turn; False if it did not come within REPORT_WAIT_S: ask again."""
        if self._is_free(session) and not self._waiting:
            return self._take(session)
        called = asyncio.Event()
        self._waiting.append(called)
        try:
            async with asyncio.timeout(REPORT_WAIT_S):
                await called.wait()
        except TimeoutError:
            pass
        finally:
            if called in self._waiting:
                self._waiting.remove(called)
        if not self._is_free(session):
            return False
        return self._take(session)

    def _take(self, session: Session) -> bool:
        self._turn = session.number
        self._heard_s = self._reign.now_s()
        return True

    def _is_free(self, session: Session) -> bool:
        if self._turn in (0, session.number) or self._reign.now_s() - self._heard_s >= REPORT_TURN_S:
            return True
        return not self._reign.sessions.is_there(self._turn)

    def goes_on(self, session: Session) -> None:
        """A page of the session has come."""
        if session.number == self._turn:
            self._heard_s = self._reign.now_s()

    def leave(self, session: Session) -> None:
        """Its report is compared: the next one's turn."""
        if session.number == self._turn:
            self._turn = 0
        if self._turn == 0 and self._waiting:
            self._waiting.popleft().set()
