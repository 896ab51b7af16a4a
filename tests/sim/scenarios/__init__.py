"""Scenarios that other systems of this kind have failed at, each a test named after its number.

S1 to S43 are those of the collection that came before the code; how they are played is in `playing`. Where the guard is
a safeguard with a switch, `test_sNN_needs_...` shows that the scenario goes wrong without it.

Elsewhere, or with the feature that they are about:
    S32  the coordinator loses its leader, and an old master acts     with etcd; the solo one's epoch is S13, S16, S28
    S35  a server is drained with open or under-replicated chunks     tests/sim/test_care.py
    S40  slow, oversized and malformed messages                       tests/e2e/test_refusals.py, tests/unit/rpc
Of S22 here: reads, copies and verification beside appends; scrubs of cold blocks are in tests/sim/test_scrub.py.
Of S23 here: that nobody is held up; that a slow server is spared, then emptied, is in tests/sim/test_care.py.
"""
