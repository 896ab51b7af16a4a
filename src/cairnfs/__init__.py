"""CairnFS: a distributed file system for Python programs, after the Google File System.

    import cairnfs

    fs = cairnfs.connect("cairn://127.0.0.1:7400")  # or cairnfs.local() for a cluster inside this process
    fs.write_text("/hello.txt", "hi")
    with fs.open("/hello.txt") as file:
        print(file.read())

`cairnfs.aio` has the same names with await. Importing this package loads no server, no command and no event loop.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cairnfs.client.blocking_client import Client
    from cairnfs.client.blocking_local import LocalClient
    from cairnfs.client.stats import DirEntry, Stat
    from cairnfs.config import ClientConfig
    from cairnfs.errors import CairnError

__version__ = "0.1.0"
__all__ = ["CairnError", "Client", "DirEntry", "Stat", "aio", "connect", "errors", "local"]

_LAZY = {
    "Client": ("cairnfs.client.blocking_client", "Client"),
    "DirEntry": ("cairnfs.client.stats", "DirEntry"),
    "Stat": ("cairnfs.client.stats", "Stat"),
    "CairnError": ("cairnfs.errors", "CairnError"),
    "aio": ("cairnfs.aio", ""),
    "errors": ("cairnfs.errors", ""),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what it returns is in TYPE_CHECKING above
    if name not in _LAZY:
        raise AttributeError(f"module 'cairnfs' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    value = getattr(import_module(module), attribute) if attribute else import_module(module)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])


def connect(
    url_or_address: str | None = None,
    *,
    timeout: float | None = None,
    **settings: Any,  # noqa: ANN401
) -> "Client":
    """Return a blocking client of a cluster, connected.

    `url_or_address`: cairn://host:port[,host2:port2] or host:port; None: the configured cluster (CAIRN_MASTER,
    ./cairn.toml and so on), else 127.0.0.1:7400. `timeout`: longest wait in seconds of every call, for metadata as
    well as for data without progress. `settings`: other fields of `config.ClientConfig`.

    Raises:
        ConnectError: nobody answers; the text says how to start a cluster.
        SettingError: no such setting, or not of its type.
    """
    from cairnfs.client.blocking_client import Client

    client = Client(client_config(url_or_address, timeout=timeout, **settings))
    client.connect()
    return client


def local(chunkservers: int = 3, folder: str | None = None) -> "LocalClient":
    """Start a whole cluster inside this process and return a client of it; closing the client stops the cluster.

    Without `folder` everything is in a temporary one and gone afterwards.
    """
    from cairnfs.client.blocking_local import LocalClient

    return LocalClient.start(import_module("cairnfs.cluster.in_process").InProcessCluster(folder, chunkservers))


def client_config(
    url_or_address: str | None = None,
    *,
    timeout: float | None = None,
    **settings: Any,  # noqa: ANN401
) -> "ClientConfig":
    """Return the settings that `connect` would use.

    Raises:
        SettingError: no such setting, or not of its type.
    """
    from cairnfs.client.urls import parse_url

    masters, _ = parse_url(url_or_address) if url_or_address else ((), "")
    flags = dict(settings)
    if masters:
        flags["master"] = masters
    if timeout is not None:
        timeout = import_module("cairnfs.client.deadlines").checked(timeout)
        flags = {"meta_timeout_s": timeout, "data_timeout_s": timeout, **flags}
    # By name: settings files are the command's business, which stands above everything that imports this package.
    found: ClientConfig = import_module("cairnfs.cli.settings").load(_config_kind(), flags=flags).config
    return found


def _config_kind() -> "type[ClientConfig]":
    from cairnfs.config import ClientConfig

    return ClientConfig
