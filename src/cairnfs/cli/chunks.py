"""`cairn chunks`: a file's chunks as the master knows them, beside what each chunkserver says it holds."""

import click

from cairnfs.cli.common import Options, common_options, document, line, remote, table
from cairnfs.cluster.replicas import HEADINGS, NUMBERS, Chunk, Replica, look, rows


@click.command()
@click.argument("path")
@common_options
def chunks(path: str, *, options: Options) -> None:
    """Show the chunks of a file: versions, primary, lease, and each replica's version and checksum.

    Equal checksums mean equal bytes. A replica that is not current is served to nobody and will be replaced.
    """
    with options.connect(path) as fs:
        found = look(list(fs.chunk_table(remote(path))))
    if options.as_json:
        document([_as_json(chunk) for chunk in found])
    elif found:
        table(HEADINGS, rows(found), right=NUMBERS)
    else:
        line(f"{remote(path)} has no chunks")


def _as_json(chunk: Chunk) -> dict[str, object]:
    known = chunk.known
    return {
        "index": known.index,
        "handle": f"{known.handle:016x}",
        "version": str(known.version),
        "length": known.length,
        "closed": known.closed,
        "goal": known.goal,
        "references": known.references,
        "primary": f"{known.primary:016x}" if known.primary else None,
        "lease_left_s": known.lease_left_s,
        "replicas": [_replica_json(replica) for replica in chunk.replicas],
    }


def _replica_json(replica: Replica) -> dict[str, object]:
    known, held = replica.known, replica.held
    return {
        "server": f"{known.server:016x}",
        "address": known.address,
        "live": known.live,
        "current": known.current,
        "version": str(held.version if held else known.version),
        "answered": held is not None,
        "present": held.present if held else None,
        "length": held.length if held else None,
        "checksum": f"{held.digest:016x}" if held and held.present else None,
        "is_primary": held.is_primary if held else False,
        "served": held.served if held else None,
    }
