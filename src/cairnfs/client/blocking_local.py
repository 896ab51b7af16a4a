"""A client that owns the cluster it talks to: what `cairnfs.local()` returns."""

from contextlib import ExitStack
from types import TracebackType
from typing import Protocol

from cairnfs.client.blocking import abandon_at_exit
from cairnfs.client.blocking_client import Client
from cairnfs.config import ClientConfig


class OwnedCluster(Protocol):
    """What is used of `cluster.in_process.InProcessCluster`."""

    master_address: str

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def abandon(self) -> None: ...


class LocalClient(Client):
    """A blocking client whose `close` also stops its cluster. Pickled, it becomes a plain client."""

    def __init__(self, config: ClientConfig, cluster: OwnedCluster) -> None:
        super().__init__(config)
        self.cluster = cluster

    @classmethod
    def start(cls, cluster: OwnedCluster) -> "LocalClient":
        """Start the cluster and connect to it."""
        cluster.start()
        abandon_at_exit(cluster)
        with ExitStack() as undo:
            undo.callback(cluster.stop)
            client = cls(ClientConfig(master=(cluster.master_address,)), cluster)
            client.connect()
            undo.pop_all()
        return client

    def __enter__(self) -> "LocalClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all connections and stop the cluster."""
        super().close()
        self.cluster.stop()
