"""Small file systems of a test's own: needs root and the permission to mount."""

import contextlib
import os
import subprocess

import pytest

PIECE = bytes(256 * 1024)


@contextlib.contextmanager
def small_disks(*folders, size_bytes, instead):
    """Mount a small file system in memory at each folder; unmounted at the end, whatever still uses it.

    Skips the test where that is not allowed; `instead` names the test that makes the same claim without.
    """
    if os.geteuid() != 0:
        pytest.skip(f"mounting needs root; the same claim without a mount: {instead}")
    mounted = []
    try:
        for folder in folders:
            folder.mkdir(parents=True)
            command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "cairnfs-test", str(folder)]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            if ended.returncode != 0:
                pytest.skip(f"may not mount ({ended.stderr.strip()}); the same claim without a mount: {instead}")
            mounted.append(folder)
        yield
    finally:
        for folder in mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """Take all that is left of a file system, as another program would; return the file to be removed."""
    filler = folder / "somebody-elses-file"
    with filler.open("wb", buffering=0) as file:
        size = len(PIECE)
        while size:  # ends when not even one byte fits
            try:
                file.write(PIECE[:size])
            except OSError:
                size //= 2
    return filler
