"""Deciding about attributes and numbers of copies."""

from cairnfs.errors import BadRequestError
from cairnfs.limits import XATTR_BYTES_MAX
from cairnfs.meta.apply.attributes import changed
from cairnfs.meta.decide.base import Choice, Decision
from cairnfs.meta.decide.folders import MODE_BITS
from cairnfs.meta.lookup import find_there
from cairnfs.meta.read import attributes
from cairnfs.meta.records import AttributesSet, ReplicasSet
from cairnfs.meta.tables import the_inode
from cairnfs.meta.views import MetaRead
from cairnfs.wire.base import Done
from cairnfs.wire.namespace import SetAttributes, SetReplicas, Status


def set_attributes(view: MetaRead, command: SetAttributes, choice: Choice) -> Decision[Status]:
    place = find_there(view, command.path, follow=command.follow)
    record = AttributesSet(
        inode=place.inode,
        now_ns=choice.now_ns,
        mode=None if command.mode is None else command.mode & MODE_BITS,
        uid=command.uid,
        gid=command.gid,
        mtime_ns=command.mtime_ns,
        xattrs=command.xattrs,
    )
    after = changed(the_inode(view, place.inode), record)
    size = sum(len(name) + len(value) for name, value in after.xattrs.items())
    if size > XATTR_BYTES_MAX:
        raise BadRequestError(what=f"{size} bytes of extended attributes; at most {XATTR_BYTES_MAX} are kept")
    return Decision(Status(attributes=attributes(place.inode, after), path=place.path), [record])


def set_replicas(view: MetaRead, command: SetReplicas, choice: Choice) -> Decision[Done]:
    place = find_there(view, command.path, follow=True)
    record = ReplicasSet(
        inode=place.inode, replicas=command.replicas, recursive=command.recursive, now_ns=choice.now_ns
    )
    return Decision(Done(), [record])
