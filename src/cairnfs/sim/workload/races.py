"""Names that everybody wants: one wins. Contract 1: the namespace is linearizable, and each operation happens once.

A prize is a name that may be created once, or a file that may be moved away once. Whoever gets an error for an answer
does not know; everybody else knows for sure.
"""

from dataclasses import dataclass

from cairnfs.client.filesystem import Client
from cairnfs.errors import ExistsError, NotFoundError
from cairnfs.sim.model import ViolationError
from cairnfs.sim.workload.party import User

TOP = "/races"
TRIES = 3
"""After so many tries the next prize is set out."""


@dataclass
class Prize:
    """One name, and how the tries to get it ended."""

    number: int
    source: str = ""
    """The file that is to be moved away; "": a name is to be created."""
    won: int = 0
    lost: int = 0
    doubts: int = 0
    begun: int = 0

    def check(self) -> None:
        """Raise ViolationError unless exactly one has won, as far as anybody knows."""
        what = f"prize {self.number}: {self.won} won, {self.lost} lost, {self.doubts} do not know"
        if self.won > 1:
            raise ViolationError(f"{what}: more than one has won")
        if self.lost and not self.won and not self.doubts:
            raise ViolationError(f"{what}: nobody has won, but somebody has lost")


class Races:
    """See the module."""

    weight = 1

    def __init__(self) -> None:
        self.prizes: list[Prize] = [Prize(0)]

    async def make(self, client: Client) -> None:
        await client.mkdir(TOP)
        await client.mkdir(f"{TOP}/moved")

    async def act(self, user: User) -> None:
        prize = self.prizes[-1]
        if prize.begun >= TRIES:
            # What was surely created, and is tried for no more, can be moved away next.
            source = self._name(prize) if prize.won and not prize.doubts and not prize.source else ""
            prize = Prize(len(self.prizes), source)
            self.prizes.append(prize)
        prize.begun += 1
        prize.doubts += 1
        is_done, _ = await user.attempt("race", self._try(user, prize))
        if is_done:
            prize.doubts -= 1
            prize.check()

    @staticmethod
    def _name(prize: Prize) -> str:
        return f"{TOP}/{prize.number}"

    async def _try(self, user: User, prize: Prize) -> None:
        try:
            if prize.source:
                who = user.name.replace("/", "-")
                await user.client.rename(prize.source, f"{TOP}/moved/{prize.number}-{who}-{prize.begun}")
            else:
                file = await user.client.open(self._name(prize), "xb")
                await file.close()
        except (ExistsError, NotFoundError):
            prize.lost += 1
        else:
            prize.won += 1

    async def check(self, client: Client) -> None:
        moved = await client.listdir(f"{TOP}/moved")
        for prize in self.prizes:
            prize.check()
            found = [name for name in moved if name.startswith(f"{prize.number}-")]
            if len(found) > 1:
                raise ViolationError(f"prize {prize.number} was moved to {found}")
