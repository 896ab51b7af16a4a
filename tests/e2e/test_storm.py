"""Real processes are killed and stopped at random moments under load; nothing that was acknowledged is lost."""

import os

from tests.e2e.storm import DECK, report, run

STORM_S = 0.0
"""No longer than until each kind of fault was met once."""


def test_a_storm_of_kills_and_stops_breaks_no_promise(tmp_path):
    """Goal: contracts 1 to 5 with real processes. Method: appenders, overwriters, readers and clients that make and
    rename files work while master, primary, secondary and clients get SIGKILL and SIGSTOP; readers check each answer,
    and at the end every record, file, cell and copy is compared. STORM_SEED makes the same choices again.
    """
    seed = int(os.environ.get("STORM_SEED", int.from_bytes(os.urandom(4))))
    storm = run(tmp_path, seed, STORM_S)
    report(storm)
    assert storm.faults == []
    assert storm.operations() > 100
    assert all(storm.done[f"{what} {victim}"] for what, victim in DECK)
