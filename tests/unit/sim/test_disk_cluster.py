"""A cluster whose disks err: what was stored is read as it was written, or not at all."""

import pytest

from cairnfs.errors import CairnError
from cairnfs.sim.cluster import FOLDER
from cairnfs.sim.stage import FILE, SIZE, Stage, content


@pytest.mark.parametrize("seed", range(8))
def test_a_misdirected_write_is_noticed_by_whoever_reads_there(seed):
    """Goal: a write that landed elsewhere is damage that the checksums and places of blocks show, on both places.

    Method: one of three disks misdirects what is written to chunk files. Readers beside every server see what was
    written last, since a server that finds damage sends them on; and the damaged one has told the master of it.
    """
    with Stage(seed) as stage:

        async def scene(stage):
            await stage.make(1)
            writer = await stage.writer()
            names = list(stage.cluster.digests(stage.handle))
            damaged = names[seed % 3]
            faults = stage.world.tree(damaged, FOLDER).faults
            faults.misdirect_chance, faults.misdirect_files = 1.0, "*.dat"
            await writer.write(2)
            faults.mend()
            assert bytes_at(stage, damaged) != bytes_at(stage, names[(seed + 1) % 3]), "nothing went astray"
            for name in names:
                reader = await stage.client(f"reader-{name}", near=name)
                data = await stage.on(f"reader-{name}", reader.read_bytes(FILE))
                assert data == content(2), name
            await stage.cluster.until(lambda: is_whole(stage))

        def bytes_at(stage, name):
            return [bytes(node.data) for path, node in stage.world.tree(name, FOLDER).walk() if path.endswith(".dat")]

        def is_whole(stage):
            found = stage.cluster.digests(stage.handle)
            return len(found) == 3 and len(set(found.values())) == 1

        stage.play(scene)


@pytest.mark.parametrize("seed", range(2))
def test_a_chunk_file_that_seems_shorter_is_no_shorter_chunk(seed):
    with Stage(seed) as stage:

        async def scene(stage):
            await stage.make(1)
            for name in stage.cluster.names:
                faults = stage.world.tree(name, FOLDER).faults
                faults.short_read_chance = 0.6
            client = await stage.client("reader")
            whole, refused = 0, 0
            for _ in range(4):
                try:
                    data = await stage.on("reader", client.read_bytes(FILE))
                except CairnError:
                    refused += 1
                else:
                    assert len(data) == SIZE
                    assert data == content(1)
                    whole += 1
            assert whole + refused == 4

        stage.play(scene)
