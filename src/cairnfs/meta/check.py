"""Looks for faults in the tables: the invariants of `tables.py`, one by one. Used by tests and whoever doubts a store.

Reads everything once and keeps a few numbers per inode and chunk in memory; meant for a view of its own.
"""

from collections import Counter

from cairnfs.ids import ROOT_INODE, ChunkHandle, InodeId
from cairnfs.meta import log
from cairnfs.meta.quotas import chunk_bytes, decode_usage, each_quota, get_quota, size_of
from cairnfs.meta.read import each_chunk, each_purged
from cairnfs.meta.tables import (
    CHUNKS_OF,
    DOOMED,
    ENTRIES,
    ENTRY,
    INODES,
    KINDS,
    QUOTAS,
    SHARED,
    TRASH,
    TRASH_PATHS,
    U64,
    U64X2,
    U64X3,
    USAGE,
    ChunkRow,
    InodeRow,
    decode_inode,
    decode_trash,
    get_counters,
    path_hash,
)
from cairnfs.meta.views import MetaRead
from cairnfs.wire.common import Kind

Inodes = dict[InodeId, InodeRow]
Uses = dict[ChunkHandle, list[tuple[InodeId, int]]]


def check(view: MetaRead) -> list[str]:
    """Return every fault, each as one sentence that names the invariant; [] if there is none."""
    inodes = {InodeId(U64.unpack(raw)[0]): decode_inode(value) for raw, value in view.scan(INODES)}
    chunks = dict(each_chunk(view))
    uses: Uses = {}
    for raw, value in view.scan(CHUNKS_OF):
        inode, index = U64X2.unpack(raw)
        uses.setdefault(ChunkHandle(U64.unpack(value)[0]), []).append((InodeId(inode), index))
    return [
        *_check_places(view, inodes),
        *_check_no_cycle(inodes),
        *_check_folders(inodes),
        *_check_maps(inodes, uses),
        *_check_uses(view, chunks, uses),
        *_check_handles(view, inodes, chunks),
        *_check_versions(view, chunks),
        *_check_counters(view, inodes),
        *log.verify(view),
        *_check_trash(view),
        *_check_usage(view, inodes),
    ]


def _check_places(view: MetaRead, inodes: Inodes) -> list[str]:
    faults: list[str] = []
    places: Counter[InodeId] = Counter()
    for raw, value in view.scan(ENTRIES):
        parent, name = U64.unpack_from(raw)[0], raw[8:]
        inode, code = ENTRY.unpack(value)
        places[inode] += 1
        row = inodes.get(inode)
        if row is None:
            faults.append(f"1: entry {parent}/{name!r} names inode {inode}, which is not there")
        elif (row.parent, row.name, row.kind) != (parent, name, KINDS[code]):
            faults.append(f"1: entry {parent}/{name!r} and the row of inode {inode} disagree: {row}")
    for raw, _ in view.scan(TRASH):
        places[InodeId(U64X2.unpack(raw)[1])] += 1
    for raw, _ in view.scan(DOOMED):
        places[InodeId(U64.unpack(raw)[0])] += 1
    faults += [
        f"1: inode {inode} hangs in {places[inode]} places"
        for inode in inodes
        if places[inode] != (0 if inode == ROOT_INODE else 1)
    ]
    return faults


def _check_no_cycle(inodes: Inodes) -> list[str]:
    safe = {InodeId(0): True}
    faults: list[str] = []
    for start in inodes:
        chain: list[InodeId] = []
        inode = start
        while inode not in safe:
            # Ends: each inode is met once, or the chain closes.
            if inode in chain or inode not in inodes:
                faults.append(f"2: inode {start} hangs below {inode}, which leads nowhere")
                break
            chain.append(inode)
            inode = inodes[inode].parent
        safe.update(dict.fromkeys(chain, True))
    return faults


def _check_folders(inodes: Inodes) -> list[str]:
    entries: Counter[InodeId] = Counter()
    folders: Counter[InodeId] = Counter()
    for row in inodes.values():
        entries[row.parent] += 1
        folders[row.parent] += row.kind is Kind.FOLDER
    faults: list[str] = []
    for inode, row in inodes.items():
        if row.entries != entries[inode]:
            faults.append(f"3: inode {inode} counts {row.entries} entries, but has {entries[inode]}")
        if row.entries and row.kind is not Kind.FOLDER:
            faults.append(f"3: inode {inode} is a {row.kind} with entries")
        is_trash = row.parent == 0
        links = 2 + folders[inode] if row.kind is Kind.FOLDER else int(not is_trash)
        if row.links != links:
            faults.append(f"3: inode {inode} has {row.links} links, but {links} are right")
    return faults


def _check_maps(inodes: Inodes, uses: Uses) -> list[str]:
    highest: dict[InodeId, int] = {}
    for owners in uses.values():
        for inode, index in owners:
            highest[inode] = max(highest.get(inode, 0), index + 1)
    faults = [f"4: chunks of inode {inode}, which is not there" for inode in highest if inode not in inodes]
    for inode, row in inodes.items():
        if row.chunks != highest.get(inode, 0):
            faults.append(f"4: inode {inode} says {row.chunks} chunks, but its map ends at {highest.get(inode, 0)}")
        if row.chunks and row.kind is not Kind.FILE:
            faults.append(f"4: inode {inode} is a {row.kind} with chunks")
    return faults


def _check_uses(view: MetaRead, chunks: dict[ChunkHandle, ChunkRow], uses: Uses) -> list[str]:
    shared: Uses = {}
    for raw, _ in view.scan(SHARED):
        handle, inode, index = U64X3.unpack(raw)
        shared.setdefault(ChunkHandle(handle), []).append((InodeId(inode), index))
    faults = [f"5: chunk {handle:016x} is used, but not there" for handle in uses if handle not in chunks]
    faults += [
        f"6: chunk {handle:016x} is listed as shared, but not there" for handle in shared if handle not in chunks
    ]
    for handle, row in chunks.items():
        owners = sorted(uses.get(handle, []))
        if row.references != len(owners) or not owners:
            faults.append(f"5: chunk {handle:016x} counts {row.references} uses, but has {len(owners)}")
        if len(owners) == 1 and (owners != [(row.inode, row.index)] or handle in shared):
            faults.append(f"6: chunk {handle:016x} belongs to {owners[0]}, but says {(row.inode, row.index)}")
        if len(owners) > 1 and shared.get(handle, []) != owners:
            faults.append(f"6: chunk {handle:016x} is shared by {owners}, but lists {shared.get(handle)}")
        if len(owners) > 1 and not row.closed:
            faults.append(f"7: chunk {handle:016x} is shared and open")
    return faults


def _check_handles(view: MetaRead, inodes: Inodes, chunks: dict[ChunkHandle, ChunkRow]) -> list[str]:
    counters = get_counters(view)
    purged = dict(each_purged(view))
    faults = [f"8: chunk {handle:016x} is there and purged" for handle in purged if handle in chunks]
    faults += [f"8: handle {handle:016x} was never given out" for handle in chunks if handle >= counters.next_handle]
    faults += [f"8: inode {inode} was never given out" for inode in inodes if inode >= counters.next_inode]
    return faults


def _check_versions(view: MetaRead, chunks: dict[ChunkHandle, ChunkRow]) -> list[str]:
    highest = get_counters(view).max_version
    faults: list[str] = []
    for handle, row in chunks.items():
        if max(row.version, row.barrier) > highest:
            faults.append(f"9: chunk {handle:016x} is at {row.version}, but none is above {highest}")
        servers = [server for server, _ in row.members]
        if not servers or len({*servers}) != len(servers):
            faults.append(f"9: chunk {handle:016x} has the members {servers}")
    return faults


def _check_counters(view: MetaRead, inodes: Inodes) -> list[str]:
    counters = get_counters(view)
    kinds = Counter(row.kind for row in inodes.values())
    counted = {Kind.FILE: counters.files, Kind.FOLDER: counters.folders, Kind.SYMLINK: counters.symlinks}
    return [f"10: {counted[kind]} of kind {kind} counted, but there are {kinds[kind]}"
            for kind in Kind if counted[kind] != kinds[kind]]  # fmt: skip


def _check_trash(view: MetaRead) -> list[str]:
    rows = [(path_hash(decode_trash(value).path), *U64X2.unpack(raw)) for raw, value in view.scan(TRASH)]
    listed = [U64X3.unpack(raw) for raw, _ in view.scan(TRASH_PATHS)]
    return [] if sorted(rows) == listed else ["11: trash and trash_paths disagree"]


def _check_usage(view: MetaRead, inodes: Inodes) -> list[str]:
    """Invariants 12 and 13, against a walk: what is below each folder, added up from its parts."""
    counted = {InodeId(U64.unpack(raw)[0]): decode_usage(value) for raw, value in view.scan(USAGE)}
    if not counted and not view.count(QUOTAS):
        return []
    doomed = {InodeId(U64.unpack(raw)[0]) for raw, _ in view.scan(DOOMED)}
    below: dict[InodeId, tuple[int, int]] = {}
    faults: list[str] = []
    chunk = chunk_bytes(view)
    for inode, row in inodes.items():
        above, top = _above(inode, inodes)
        if top in doomed:
            counted.pop(inode, None)
            continue
        size = size_of(row, chunk)
        for folder in above:
            files, size_bytes = below.get(folder, (0, 0))
            below[folder] = (files + 1, size_bytes + size)
        if row.kind is Kind.FOLDER and inode not in counted and row.parent in counted:
            faults.append(f"12: folder {inode} is not counted, but {row.parent} above it is")
        if get_quota(view, inode) is not None and inode not in counted:
            faults.append(f"12: folder {inode} has limits, but is not counted")
    for inode, usage in counted.items():
        if (usage.files, usage.size_bytes) != below.get(inode, (0, 0)):
            faults.append(f"13: {below.get(inode, (0, 0))} files and bytes are below {inode}, but it says {usage}")
    return faults + [f"13: limits of inode {inode}, which is not there" for inode, _ in each_quota(view)
                     if inode not in inodes]  # fmt: skip


def _above(inode: InodeId, inodes: Inodes) -> tuple[list[InodeId], InodeId]:
    """Return the folders above an inode, and the last of them; a circle ends (invariant 2 names it)."""
    above: list[InodeId] = []
    top = inode
    while (parent := inodes[top].parent) in inodes and parent not in above:
        above.append(parent)
        top = parent
    return above, top
