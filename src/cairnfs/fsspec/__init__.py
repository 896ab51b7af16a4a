"""`cairn://` for everything that speaks fsspec: pandas, dask, pyarrow, zarr, xarray and many more.

    import fsspec, pandas

    with fsspec.open("cairn://127.0.0.1:7400/hello.txt", "w") as file:
        file.write("hi")
    pandas.read_parquet("cairn:///tables/day.parquet")   # of the configured cluster, as `cairnfs.connect()` finds it
    fs = fsspec.filesystem("cairn", masters="127.0.0.1:7400", timeout=30)

fsspec finds the class by the entry point of this package; nothing has to be imported or registered.

    filesystem   what fsspec asks for whole files and ranges        file        files that `open` returns
    names        what it asks for names and folders                 uploads     files that get their name when whole
    clients      one client per process and loop, closed at exit    transfers   get and put
    urls         URLs, options and paths, taken apart               attributes  what `info` and `ls` tell

Promises, beyond those of docs/CONSISTENCY.md:
    1. A file that is written appears, or replaces the one of before, in one step, when it is closed (or its transaction
       is committed). Until then nobody sees it; if writing fails, or the `with` block of `fs.open` ends by an error,
       nobody ever does. `fsspec.open`, compression, and tools that open a URL themselves close a file after an error
       as if all were well: then the part has the name. Appending ("ab") is the exception: its bytes are seen as they
       come, and are there after `flush`.
    2. A reader keeps the file that it opened: removed or replaced meanwhile, it is read to its end all the same while
       the trash keeps it; then the reader gets FileNotFoundError. A file that another program cuts short or writes anew
       in its place gives an OSError (ESTALE). Only single bytes that are overwritten in place are seen as they come.
    3. A path that names something is that thing, whatever characters it has; only one that names nothing is a pattern.
"""

from cairnfs.fsspec.filesystem import CairnFileSystem

__all__ = ["CairnFileSystem"]
