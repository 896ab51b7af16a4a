"""One block of one replica on one disk: its sectors, its two checksum slots, the journal. Rules 15, 16 and 24.

    mutator     plain: in place | small and durable: place, then journal | over flushed bytes: journal, then place
    flusher     capture ── flush the file ── a record with the captured state
    journal     records become durable one after the other; a segment is sealed, and removed when its places are safe
    power loss  at every step: each sector is as before or as written at any time since its last flush

A checksum is modelled by the content that it covers, so it fits exactly that content. The program of mutations is
fixed, and each writes a content of its own.
"""
