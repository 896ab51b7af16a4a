"""What single users do in a storm, each with a model of his own: snapshots, one file stretched and cut, names."""

import random
from dataclasses import dataclass, field

from cairnfs.client.filesystem import Client
from cairnfs.errors import CairnError, NotFoundError
from cairnfs.sim.cluster import SimCluster

SPAN = 150_000
"""Bytes of the stretched file: a few chunks of 64 KiB."""


@dataclass
class Stretched:
    """One file and what it must hold. After an error nobody knows, so a new file is begun."""

    number: int = 0
    model: bytearray = field(default_factory=bytearray)
    done: int = 0

    @property
    def path(self) -> str:
        return f"/stretched{self.number}"


async def stretch(cluster: SimCluster, client: Client, is_over, told: Stretched) -> None:
    """One user writes anywhere, cuts, lengthens and syncs; what he reads then is what he has written."""
    chance = cluster.world.stream("stretch")
    file = None
    while not is_over():
        try:
            if file is None:
                file = await client.open(told.path, "w+b")
            await _change(file, told.model, chance)
            await file.sync()
            await _compare(file, told.model, chance, where=told.path)
            told.done += 1
        except CairnError:
            if file is not None:
                file.discard()
            file = None
            told.number += 1
            told.model = bytearray()
        await cluster.pause(chance.uniform(0.0, 0.5))
    if file is not None:
        await file.close()


async def _change(file, model: bytearray, chance: random.Random) -> None:
    if chance.random() < 0.25:
        size = chance.choice((0, chance.randrange(SPAN), chance.randrange(SPAN), len(model)))
        await file.truncate(size)
        del model[size:]
        model.extend(bytes(size - len(model)))
        return
    offset = chance.choice((len(model), chance.randrange(SPAN), chance.randrange(SPAN)))
    data = chance.randbytes(chance.choice((1, 100, 5000, 40_000, 100_000)))[: max(1, SPAN - offset)]
    await file.pwrite(data, offset)
    if offset > len(model):
        model.extend(bytes(offset - len(model)))
    model[offset : offset + len(data)] = data


async def _compare(file, model: bytearray, chance: random.Random, *, where: str) -> None:
    size = await file.size()
    assert size == len(model), f"{where}: {size} bytes, not {len(model)}"
    offset = chance.randrange(SPAN)
    length = chance.choice((10, 5000, SPAN))
    data = await file.pread(length, offset)
    compare(data, bytes(model[offset : offset + length]), f"{where} at {offset}")


def compare(data: bytes, wanted: bytes, where: str) -> None:
    assert len(data) == len(wanted), f"{where}: {len(data)} bytes, not {len(wanted)}"
    if data != wanted:
        first = next(place for place in range(len(data)) if data[place] != wanted[place])
        last = max(place for place in range(len(data)) if data[place] != wanted[place])
        raise AssertionError(f"{where}: other bytes from {first} to {last} of {len(data)}")


async def check_stretched(client: Client, told: Stretched) -> None:
    if told.model:
        compare(await client.read_bytes(told.path), bytes(told.model), "at the end")


# ------------------------------------------------------------------ names


@dataclass
class Names:
    """Small files by name, as one user left them; names that an error left in doubt are used no more."""

    files: dict[str, bytes] = field(default_factory=dict)
    trashed: dict[str, bytes] = field(default_factory=dict)
    count: int = 0
    done: int = 0


async def use_names(cluster: SimCluster, client: Client, is_over, names: Names) -> None:
    """One user makes, moves, deletes and undeletes small files, and reads each as he left it."""
    chance = cluster.world.stream("names")
    while not is_over():
        try:
            await client.mkdir("/names", exist_ok=True)
            await _use_one(client, names, chance)
            names.done += 1
        except CairnError:
            pass
        await cluster.pause(chance.uniform(0.0, 0.5))


async def _use_one(client: Client, names: Names, chance: random.Random) -> None:
    """Take a file out of the model, do something with it, and enter it again if that is known to have worked."""
    names.count += 1
    new = f"/names/{names.count}"
    if not names.files or chance.random() < 0.3:
        data = chance.randbytes(chance.choice((0, 10, 3000, 70_000)))
        await client.write_bytes(new, data)
        names.files[new] = data
        return
    kind = chance.choice(("read", "read", "rename", "replace", "delete", "purge", "undelete", "undelete"))
    if kind == "undelete" and names.trashed:
        old = chance.choice(list(names.trashed))
        data = names.trashed.pop(old)
        await client.undelete(old)
        names.files[old] = data
        return
    old = chance.choice(list(names.files))
    data = names.files.pop(old)
    if kind == "rename":
        await client.rename(old, new)
        names.files[new] = data
    elif kind == "replace" and names.files:
        over = chance.choice(list(names.files))
        del names.files[over]
        await client.replace(old, over)
        names.files[over] = data
    elif kind == "delete":
        await client.remove(old)
        names.trashed[old] = data
    elif kind == "purge":
        await client.remove(old, now=True)
        assert not await client.exists(old), f"{old} is still there"
    else:
        names.files[old] = data
        try:
            found = await client.read_bytes(old)
        except NotFoundError:
            raise AssertionError(f"{old} is gone") from None
        compare(found, data, old)


async def check_names(client: Client, names: Names) -> None:
    for path, data in names.files.items():
        compare(await client.read_bytes(path), data, path)
    for path, data in names.trashed.items():
        await client.undelete(path)
        compare(await client.read_bytes(path), data, path)


# ------------------------------------------------------------------ snapshots


@dataclass
class Snapshot:
    """What a snapshot of the cells may hold, and, once read, does hold."""

    path: str
    least: list[int]
    most: list[int]
    content: bytes = b""


async def take_snapshots(cluster: SimCluster, client: Client, is_over, history, taken: list[Snapshot], *, file: str):
    """Snapshots of a file under writes; each is read again later."""
    chance = cluster.world.stream("snapshots")
    number = 0
    while not is_over():
        await cluster.pause(chance.uniform(1.0, 10.0))
        number += 1
        one = Snapshot(f"/snapshot{number}", [cell.acked for cell in history.cells], [])
        try:
            await client.snapshot(file, one.path)
        except CairnError:
            continue
        one.most = [cell.begun for cell in history.cells]
        taken.append(one)
        for each in chance.sample(taken, min(2, len(taken))):
            await read_snapshot(client, each, history)


async def read_snapshot(client: Client, one: Snapshot, history) -> None:
    try:
        data = await client.read_bytes(one.path)
    except CairnError:
        history.refused += 1
        return
    if one.content:
        compare(data, one.content, one.path)
    one.content = data
    for number, value in enumerate(history.values_of(data)):
        assert value <= one.most[number], f"{one.path}: cell {number} shows {value}, of after {one.most[number]}"
        history.note_shown(number, value, least=one.least[number], what=one.path)


async def check_snapshots(client: Client, taken: list[Snapshot], history) -> None:
    for one in taken:
        before = history.refused
        await read_snapshot(client, one, history)
        assert history.refused == before, f"{one.path} cannot be read"
