"""The conversation between two processes: numbers 1001 to 1999."""

from dataclasses import dataclass

from cairnfs.errors.base import CairnError, Retry


@dataclass(eq=False, kw_only=True)
class ConnectError(CairnError, ConnectionError):
    """Nobody answers at the address. Nothing happened."""

    code = 1001
    retry = Retry.LATER
    address: str
    why: str
    role: str = "server"

    @property
    def hint(self) -> str:  # type: ignore[override]
        if self.role == "master":  # how to start one is in the text: a program that prints it has no second line
            return "is it running elsewhere? --master or CAIRN_MASTER names its address"
        return "is the server running? `cairn status` shows which ones are"

    def __str__(self) -> str:
        return f"no {self.role} at {self.address}: {self.why}"


@dataclass(eq=False, kw_only=True)
class ConnectionLostError(CairnError, ConnectionError):
    """The connection broke while an answer was awaited: the request may have been carried out."""

    code = 1002
    retry = Retry.LATER
    may_have_happened = True
    address: str
    why: str

    def __str__(self) -> str:
        return f"connection to {self.address} lost: {self.why}"


@dataclass(eq=False, kw_only=True)
class CallTimeoutError(CairnError, TimeoutError):
    """No answer in time: the request may have been carried out."""

    code = 1003
    retry = Retry.LATER
    may_have_happened = True
    address: str
    what: str
    timeout_s: float

    def __str__(self) -> str:
        return f"no answer to {self.what} from {self.address} within {self.timeout_s:g} s"


@dataclass(eq=False, kw_only=True)
class PeerError(CairnError):
    """The peer breaks the protocol, or failed inside (its log has the traceback)."""

    code = 1004
    may_have_happened = True
    what: str
    peer: str

    def __str__(self) -> str:
        return f"peer {self.peer or '?'} answered wrongly: {self.what}"


@dataclass(eq=False, kw_only=True)
class WrongClusterError(CairnError):
    """The peer or disk belongs to another cluster. Nothing was changed on either side."""

    code = 1005
    hint = "check the master address and the data folder: one of the two belongs to another cluster"
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what} belongs to cluster {self.found or 'none'}, but this is cluster {self.expected}"


@dataclass(eq=False, kw_only=True)
class ProtocolVersionError(CairnError):
    """The two sides share no protocol version."""

    code = 1006
    hint = "upgrade the older side"
    peer: str
    ours: str
    theirs: str

    def __str__(self) -> str:
        return f"{self.peer} speaks protocol {self.theirs}, this side {self.ours}"


@dataclass(eq=False, kw_only=True)
class BusyError(CairnError):
    """A limit is reached (rule 27). Nothing happened."""

    code = 1007
    retry = Retry.LATER
    what: str

    def __str__(self) -> str:
        return f"too busy: {self.what}"


@dataclass(eq=False, kw_only=True)
class ShutdownError(CairnError):
    """The server is stopping. Nothing happened."""

    code = 1008
    retry = Retry.LATER
    what: str

    def __str__(self) -> str:
        return f"{self.what} is shutting down"


@dataclass(eq=False, kw_only=True)
class BadRequestError(CairnError, ValueError):
    """The request makes no sense. Nothing happened."""

    code = 1009
    what: str

    def __str__(self) -> str:
        return self.what


@dataclass(eq=False, kw_only=True)
class TimeLimitError(CairnError, TimeoutError):
    """A call took longer than its caller allows (`with_timeout`, `timeout=`); `left` says what is left behind."""

    code = 1010
    may_have_happened = True
    call: str
    what: str
    timeout_s: float
    left: str

    def __str__(self) -> str:
        return f"{self.call} of {self.what or 'the cluster'} took longer than {self.timeout_s:g} s: {self.left}"
