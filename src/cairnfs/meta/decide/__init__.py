"""Commands to records: who refuses, who chooses. Pure but for `execute`, which also applies and logs.

    job in the store's writer:   result = execute(txn, command, choice, epoch=epoch)
    after the commit:            reply = answer(result)          (raises a refusal)

A refusal is returned and not raised, because a job that raises leaves nothing behind, and a refusal of a request with
`once` must be remembered for its retry.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from cairnfs.errors import CairnError, Retry
from cairnfs.ids import Epoch
from cairnfs.meta import commands, log
from cairnfs.meta.apply import apply
from cairnfs.meta.decide import attributes, chunks, clients, files, folders, quotas, restores, servers, snapshots, trash
from cairnfs.meta.decide.base import Choice, Decision, Placement
from cairnfs.meta.records import Record
from cairnfs.meta.results import kept, once_of, recall
from cairnfs.meta.views import MetaRead, MetaWrite
from cairnfs.wire import namespace
from cairnfs.wire import quotas as wire_quotas
from cairnfs.wire.base import Reply, Request

__all__ = ["Choice", "Decision", "Placement", "answer", "decide", "execute"]

R = TypeVar("R", bound=Reply)

_DECIDE: dict[type[Any], Callable[[MetaRead, Any, Choice], Decision[Any]]] = {
    namespace.CreateFile: files.create_file,
    namespace.Truncate: files.truncate,
    namespace.SetLength: files.set_length,
    namespace.MakeFolder: folders.make_folder,
    namespace.MakeSymlink: folders.make_symlink,
    namespace.Rename: folders.rename,
    namespace.Delete: trash.delete,
    namespace.Undelete: trash.undelete,
    namespace.Purge: trash.purge,
    namespace.SetReplicas: attributes.set_replicas,
    namespace.SetAttributes: attributes.set_attributes,
    namespace.Snapshot: snapshots.take_snapshot,
    commands.AddChunk: chunks.add_chunk,
    commands.DropEmptyChunk: chunks.drop_empty_chunk,
    commands.OpenChunk: chunks.open_chunk,
    commands.CloseChunk: chunks.close_chunk,
    commands.AddMember: chunks.add_member,
    commands.RemoveMember: chunks.remove_member,
    commands.TakeHandle: chunks.take_handle,
    commands.CopyChunk: chunks.copy_chunk,
    commands.PurgeDone: chunks.purge_done,
    commands.ExpireTrash: trash.expire_trash,
    commands.SeeServer: servers.see_server,
    commands.OrderServer: servers.order_server,
    commands.ForgetServer: servers.forget_server,
    commands.Tune: servers.tune,
    commands.ForgetClients: clients.forget_clients,
    commands.AcceptRestore: restores.accept_restore,
    wire_quotas.SetQuota: quotas.set_quota,
    wire_quotas.ClearQuota: quotas.clear_quota,
    commands.CountFolders: quotas.count_folders,
    commands.UncountFolders: quotas.uncount_folders,
}


def decide(view: MetaRead, command: Request[R] | commands.Command[R], choice: Choice) -> Decision[R]:
    """Return what the command does and what it answers. Writes nothing.

    Raises:
        CairnError: refused, as the command's own text says. Nothing happens.
    """
    return _DECIDE[type(command)](view, command, choice)


def execute(
    txn: MetaWrite, command: Request[R] | commands.Command[R], choice: Choice, *, epoch: Epoch
) -> R | CairnError:
    """Carry out a command exactly once inside the writer's transaction; return its reply, or its refusal.

    A repeated (client, sequence) gets the first result and changes nothing; one that is too old gets UnsureError.
    Volatile parts of a reply (lease, addresses, tail) are the caller's to add. To be passed on only after the commit.
    """
    once = once_of(command)
    if once is not None and isinstance(command, Request) and choice.recalls:
        known = recall(txn, command, once)
        if known is not None:
            return known
    result: R | CairnError
    records: list[Record] = []
    try:
        decision = decide(txn, command, choice)
    except CairnError as error:
        if once is None or error.retry is not Retry.NEVER:
            return error
        result = error
    else:
        result, records = decision.reply, decision.records
    if once is not None:
        records = [*records, kept(once, result, choice.now_ns)]
    if records:
        for record in records:
            apply(txn, record)
        log.append(txn, records, epoch=epoch, now_ns=choice.now_ns)
    return result


def answer(result: R | CairnError) -> R:
    """Return the reply that `execute` returned.

    Raises:
        CairnError: it was a refusal.
    """
    if isinstance(result, CairnError):
        raise result
    return result
