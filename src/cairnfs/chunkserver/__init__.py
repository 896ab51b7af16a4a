"""CHUNKSERVERS: replicas on disks, and their part of the protocol. GFS paper, sections 2.1 and 3.

server ── puts together ─┬─ serve_*        one per wire module, thin
├─ report         session, heartbeats, serving lease (standing, exclusions, marks)
├─ push           data that waits for its mutation
├─ opening, roles what this server is for each chunk
├─ primary, batch ─┬─ applying ─ secondary      (append, pending, repeats: pure)
├─ reading        bytes, rounds, lengths
├─ reconcile, copying, clone
├─ scrub          reads idle replicas through
└─ store          the one door to the disks
"""
