"""What a test may ask of its cluster, in `@pytest.mark.cairn(...)`. Loaded with pytest, so it imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass, field

CHUNK_BYTES = 1024 * 1024
BLOCK_BYTES = 64 * 1024


class OnlySimulatedError(Exception):
    """This cannot be done to real processes. A test that does not catch it is skipped with these words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The keywords of the mark `cairn`."""

    processes: bool = False
    """Real processes instead of the simulation."""
    chunkservers: int = 4
    """One more than there are copies, so that a lost one can be made again."""
    seed: int | None = None
    """Decides a simulated run; None: the test's name does."""
    chunk_bytes: int = CHUNK_BYTES
    """Small, so that tests meet chunk ends. A record is a quarter of it at most."""
    block_bytes: int = BLOCK_BYTES
    master: Mapping[str, object] = field(default_factory=dict)
    """Settings of the master by name, as in the file of settings."""

    def __post_init__(self) -> None:
        if self.chunkservers < 1:
            raise ValueError(f"a cluster needs a chunkserver, not {self.chunkservers}")
