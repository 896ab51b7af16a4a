"""A program that ends, or forks, with a cluster inside it: `python local_ends.py exit|fork`. See test_local."""

import os
import sys

import cairnfs


def leave_open():
    """End with a file open and nothing closed."""
    fs = cairnfs.local()
    late = fs.open("/late", "w")
    late.write("not flushed yet")
    sys.stdout.write(fs.cluster._folder)
    globals()["late"] = late  # open until the interpreter ends


def child_closes():
    """A forked child uses its parent's client and closes it; the parent goes on."""
    fs = cairnfs.local()
    fs.write_text("/parent", "of the parent")
    child = os.fork()
    if child == 0:
        fs.write_text("/child", fs.read_text("/parent") + ", read by the child")
        fs.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    sys.stdout.write(fs.read_text("/child"))
    fs.write_bytes("/more", bytes(3 << 20))
    fs.close()


{"exit": leave_open, "fork": child_closes}[sys.argv[1]]()
