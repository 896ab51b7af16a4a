"""A WHOLE CLUSTER IN ONE PROCESS, decided by one seed.

Simulated: time, the order in which things run, the network, disks and metadata stores (crash, power loss, faults),
clocks. Real: every line of the roles. `world.SimWorld` is the frame; a failure names its seed, and the same seed is the
same run, event by event (`trace`).
"""
