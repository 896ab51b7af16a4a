"""The parts that one client instance is made of, joined once. Used by `filesystem` and `file`."""

from cairnfs.client.appending import Appender
from cairnfs.client.connection import Connection
from cairnfs.client.following import Follower
from cairnfs.client.lengths import Lengths
from cairnfs.client.locations import Locations
from cairnfs.client.mutating import Mutator
from cairnfs.client.reading import Reader
from cairnfs.client.truncating import Truncator
from cairnfs.client.writing import Writer
from cairnfs.config import ClientConfig
from cairnfs.env import Env
from cairnfs.ids import InodeId


class Core:
    """Connection, cache, and everything that reads and changes chunks."""

    def __init__(self, env: Env, config: ClientConfig) -> None:
        self.connection = Connection(env, config)
        self.locations = Locations(self.connection)
        self.lengths = Lengths(self.connection, self.locations)
        self.follower = Follower(self.connection, self.locations, self.lengths)
        self.reader = Reader(self.connection, self.locations, self.lengths)
        self.mutator = Mutator(self.connection, self.locations)
        self.appender = Appender(self.connection, self.locations, self.mutator)
        self.truncator = Truncator(self.connection, self.locations, self.lengths, self.mutator, self.appender)

    def writer(self, inode: InodeId) -> Writer:
        """Return the state of the writes of one open file."""
        return Writer(self.connection, self.locations, self.mutator, inode)
