"""Whom a read asks first, and when it asks a second replica as well. Decides only; `replicas` does it.

    request ──▶ first ── no answer for the 95th percentile ──▶ second as well     if the budget has a token
                    └─── not a word from it for SILENT_S ────▶ second as well     always; it is asked last for a while

What a dead machine costs is then one such wait, however many reads meet it: the budget bounds what hedging costs a
cluster that is well, the silence what a stopped server costs its readers. Dean, Barroso: The Tail at Scale (2013).
Ours: GFS clients waited for their one replica.
"""

from dataclasses import dataclass

from cairnfs.client.percentiles import RecentPercentile
from cairnfs.limits import (
    HEDGE_BURST,
    HEDGE_BYTES_PER_S,
    HEDGE_DELAY_MAX_S,
    HEDGE_DELAY_MIN_S,
    HEDGE_DELAY_START_S,
    HEDGE_SAMPLES_MIN,
    HEDGE_SHARE,
    SILENT_MAX_S,
    SILENT_S,
)
from cairnfs.units import KIB

_PERCENTILE = 0.95
_SIZES = (64 * KIB, 512 * KIB)
"""Requests up to the first are small, up to the second medium; each size has its own percentile."""
_PENALTY_S = 10.0
"""A replica that failed, was slow or silent is tried last for so long."""


@dataclass(slots=True)
class _Waited:
    """Requests to a server that it has not answered."""

    since_s: float
    latest_s: float


class Hedging:
    """What one client knows of its servers' speed. Times are those of its clock."""

    def __init__(self, *, is_on: bool = True) -> None:
        self.is_on = is_on
        self._latencies = [RecentPercentile() for _ in range(len(_SIZES) + 1)]
        self._tokens = float(HEDGE_BURST)
        self._avoid_until_s: dict[str, float] = {}
        self._silent: dict[str, None] = {}
        self._waited: dict[str, _Waited] = {}
        self._heard_s: dict[str, float] = {}

    # ------------------------------------------------------------------ whom

    def order(self, addresses: list[str], now_s: float) -> list[str]:
        """Return them as given, but for those to be avoided: last, the latest that gave reason at the very end."""
        if not self._avoid_until_s:
            return addresses

        def when(address: str) -> float:
            until_s = self._avoid_until_s.get(address, 0.0)
            return until_s if until_s > now_s else 0.0

        return sorted(addresses, key=when)

    def avoid(self, address: str, now_s: float) -> None:
        """Ask this server last for a while."""
        self._avoid_until_s = {server: until_s for server, until_s in self._avoid_until_s.items() if until_s > now_s}
        self._avoid_until_s[address] = now_s + _PENALTY_S

    # ------------------------------------------------------------------ what happens

    def asked(self, address: str, now_s: float) -> None:
        """A request goes to a server."""
        waited = self._waited.get(address)
        if waited is None or now_s - waited.latest_s > SILENT_S:
            # One that was given up long ago says nothing of now: perhaps only its answer was thrown away.
            self._waited[address] = _Waited(now_s, now_s)
        else:
            waited.latest_s = now_s

    def heard(self, address: str, now_s: float) -> None:
        """A server said something, be it an error: it is not silent."""
        self._waited.pop(address, None)
        self._heard_s[address] = now_s
        if address in self._silent:
            del self._silent[address]
            self._avoid_until_s.pop(address, None)

    def fell_silent(self, address: str, now_s: float) -> None:
        """Nothing was heard until `silent_at_s`: avoid it until it speaks."""
        self.avoid(address, now_s)
        self._silent[address] = None

    def took(self, length: int, latency_s: float) -> None:
        """A request for so many bytes was answered, or was given up after so long because another one was."""
        self._latencies[_size_class(length)].add(latency_s)

    def began(self) -> None:
        """A read begins: it earns its share of a hedge."""
        self._tokens = min(float(HEDGE_BURST), self._tokens + HEDGE_SHARE)

    # ------------------------------------------------------------------ when

    def delay_s(self, length: int) -> float:
        """Return after how long a request for so many bytes takes longer than most."""
        most_s = HEDGE_DELAY_MAX_S + length / HEDGE_BYTES_PER_S
        return min(most_s, max(HEDGE_DELAY_MIN_S, self._usual_s(length)))

    def silent_at_s(self, address: str, length: int, *, began_s: float) -> float:
        """Return when a server that was asked at `began_s` counts as silent, if nothing is heard from it.

        Later where answers take long: a slow disk is not a dead machine, and to double its work would help nobody.
        """
        patience_s = min(SILENT_MAX_S, max(SILENT_S + length / HEDGE_BYTES_PER_S, 2 * self._usual_s(length)))
        waited = self._waited.get(address)
        since_s = max(began_s, self._heard_s.get(address, began_s)) if waited is None else waited.since_s
        return since_s + patience_s

    @property
    def may_spend(self) -> bool:
        """True if the budget has a hedge left."""
        return self._tokens >= 1

    def spend(self) -> None:
        assert self.may_spend, self._tokens
        self._tokens -= 1

    def _usual_s(self, length: int) -> float:
        latencies = self._latencies[_size_class(length)]
        if len(latencies) >= HEDGE_SAMPLES_MIN:
            return latencies.at(_PERCENTILE)
        return HEDGE_DELAY_START_S + length / HEDGE_BYTES_PER_S


def _size_class(length: int) -> int:
    return sum(length > size for size in _SIZES)
