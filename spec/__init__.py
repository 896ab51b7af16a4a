"""The executable specification: explicit-state models of the protocol of docs/CONSISTENCY.md.

Each model is a handful of nodes, every step they may take, and properties that must hold in every state that can be
reached. It is explored breadth first, so a violation comes with a shortest trace. Nothing here is shipped, and nothing
here imports cairnfs: it says what the rules mean, and the code is compared with it by reading and by the simulator.

    python -m spec              every configuration, as a table (about ten minutes of one core)
    python -m spec --short      the set for each change
    python -m spec --ablate     one safeguard off at a time: each must be missed

How the network is modelled everywhere: a message is in flight from the moment at which what it says has become true,
and arrives at any later time, more than once, or never. That covers loss, delay, reordering, one-way cuts and
partitions of every kind without a state of their own. A dead node is one that takes no step.
"""
