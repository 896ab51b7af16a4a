"""`python -m cairnfs` is the `cairn` command: for children that must run in the same interpreter."""

from cairnfs.cli.main import main

if __name__ == "__main__":
    main()
