"""The table of all messages in docs/PROTOCOL.md, made from the wire modules.

`python -m tests.support.messages` writes it anew; tests/test_messages.py checks it.
"""

import inspect
import re
from pathlib import Path
from types import ModuleType

import msgspec

from cairnfs import wire
from cairnfs.wire.base import Reply, Request

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/PROTOCOL.md"
BEGIN, END = "<!-- messages:begin -->\n", "<!-- messages:end -->\n"


def messages_of(module: ModuleType) -> list[type[msgspec.Struct]]:
    """Return the requests and replies that a wire module defines, in the order of the text."""
    own = [one for one in vars(module).values() if inspect.isclass(one) and one.__module__ == module.__name__]
    return [one for one in own if issubclass(one, Request | Reply) and one not in (Request, Reply)]


def first_line(text: str) -> str:
    return text.strip().split("\n")[0]


def row(message: type[msgspec.Struct]) -> str:
    config = message.__struct_config__
    fields = ", ".join(f"`{name}`" for name in message.__struct_fields__)
    reply = ""
    for base in getattr(message, "__orig_bases__", ()):
        found = re.search(r"\[.*?(\w+)'?\)?\]$", str(base))
        reply = f" → {found[1]}" if found else ""
    meaning = first_line(message.__doc__ or "")
    return f"| {config.tag:#05x} | {message.__name__}{reply} | {fields or '-'} | {meaning} |\n"


def table() -> str:
    parts = []
    for module in wire.MESSAGES:
        name = module.__name__.rpartition(".")[2]
        parts.append(f"\n### {name}\n\n{first_line(module.__doc__ or '')}\n\n")
        parts.append("| tag | message | fields, in order | meaning |\n|---|---|---|---|\n")
        parts += [row(message) for message in messages_of(module)]
    return "".join(parts) + "\n"


def main() -> None:
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}")


if __name__ == "__main__":
    main()
