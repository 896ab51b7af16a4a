"""A joiner of an open chunk, and half-filled replicas. Rules 3, 12 and 13.

Three servers, a chunk of two blocks. Each mutation writes both blocks; a replica whose blocks differ is half filled.
C copies block by block while A and B are written to, then a raise takes it in. Raises are given up at any moment, and
servers restart (nothing flushed is lost here: that is the core's and the journal's matter).
"""
