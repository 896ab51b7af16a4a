"""WHAT USERS DO IN A SIMULATION: each part performs single operations and knows what its files must hold.

    Party ── users ── each step: one operation of one part ── Cells, Records, Names, Stretched, Snapshots, Races

An operation that fails with a CairnError is one whose outcome nobody knows; a part then expects either. What is wrong
at once raises `model.ViolationError`; `check` of each part looks at everything when the cluster is well again.
"""
