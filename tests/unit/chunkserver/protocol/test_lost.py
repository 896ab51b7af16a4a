"""What a server says of replicas that it had and has no more. Rule 3."""

import pytest
from tests.unit.chunkserver.protocol.cluster import run


def test_a_promise_says_that_a_replica_was_lost():
    """Goal: rule 3: an absent replica is an empty member of a new chunk, unless its server has lost it.

    Method: one member's disk fails, another member's replica is set aside as corrupt; the third one never had any.
    """

    async def story(cluster):
        lease = await cluster.new_chunk(names="ab")
        await cluster.append(lease, b"record")
        replica = cluster.store("a").replicas[1]
        await cluster.store("a").quarantine(replica, "rotten")
        disk = cluster.store("b").disk_of(cluster.store("b").replicas[1])
        disk.fail("broken")
        _, promised = await cluster.promise(1, "abc")
        assert [(one.present, one.incomplete) for one in promised.values()] == [
            (False, True),
            (False, True),
            (False, False),
        ]

    run(story)


@pytest.mark.parametrize("power", [False, True])
def test_a_restart_does_not_forget_what_is_in_the_quarantine(power):
    """Goal: rule 3, also where the process that lost the replica is not the one that promises."""

    async def story(cluster):
        lease = await cluster.new_chunk(names="ab")
        await cluster.append(lease, b"record")
        await cluster.store("a").quarantine(cluster.store("a").replicas[1], "rotten")
        await cluster.restart("a", power=power)
        _, promised = await cluster.promise(1, "ac")
        assert [(one.present, one.incomplete) for one in promised.values()] == [(False, True), (False, False)]

    run(story)
