"""The rules that no linter knows. Each failure says `path:line: what; use this instead`.

A rule about a package that does not exist yet passes: it has no file to complain about.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "cairnfs"
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
ROLES = ("master", "chunkserver", "client", "meta", "rpc")

# The three doors at which any exception is caught and logged; docs/STYLE.md, 21.
DOORS = ["rpc/server.py", "master/background.py", "cli/main.py"]
# Others that may, each with its reason: "path": "why it cannot be narrower".
MORE_DOORS: dict[str, str] = {
    "tasks.py": "what a job waits for may raise anything, and that is the job's to handle",
    "env/handover.py": "a job's error of any kind belongs to the caller that waits on another thread",
    "client/codecs.py": "a codec is the caller's own and may raise anything; the error says which record it was",
    "sim/loop.py": "what a callback raises goes to the loop's handler, as asyncio's own loop does; it fails the run",
    "cluster/in_process.py": "an error of any kind belongs to the thread that waits for the start",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def read_and_parsed(path: Path) -> tuple[str, ast.Module]:
    """Return text and tree of a file: many tests look at each, and to parse them all takes seconds."""
    text = path.read_text()
    return text, ast.parse(text, filename=str(path))


def parsed(*folders: Path) -> Iterator[tuple[Path, str, ast.Module]]:
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            yield path, *read_and_parsed(path)


def source_files(*packages: str) -> Iterator[tuple[Path, str, ast.Module]]:
    return parsed(*(SOURCE / package for package in packages)) if packages else parsed(SOURCE)


def test_files() -> Iterator[tuple[Path, str, ast.Module]]:
    return parsed(ROOT / "tests")


test_files.__test__ = False


def tracked_files() -> list[Path]:
    """Every file that git knows, or would add; without git, every file of the project's folders."""
    asked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if asked.returncode != 0:
        folders = ["src", "spec", "tests", "docs", "changes", "benchmarks", ".ci"]
        files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
        return sorted(path for path in [*files, *ROOT.glob("*")] if path.is_file() and path.suffix != ".pyc")
    names = sorted(name for name in asked.stdout.decode().split("\0") if name)
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def tracked_texts() -> Iterator[tuple[Path, str]]:
    for path in tracked_files():
        raw = path.read_bytes()
        if b"\0" not in raw[:8192]:
            yield path, raw.decode(errors="replace")


def at(path: Path, line: int, what: str) -> str:
    return f"{path.relative_to(ROOT)}:{line}: {what}"


def refuse(faults: list[str]) -> None:
    assert not faults, "\n" + "\n".join(faults)


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a chain of names; an unnamed beginning is left out."""
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else node.attr
    return node.id if isinstance(node, ast.Name) else ""


def lines_matching(pattern: re.Pattern[str], files: Iterator[tuple[Path, str]], what: str) -> list[str]:
    return [
        at(path, number, f"{found.group()!r}: {what}")
        for path, text in files
        if path != Path(__file__)
        for number, line in enumerate(text.splitlines(), start=1)
        if (found := pattern.search(line))
    ]


# ---- size


def test_no_file_is_longer_than_400_lines() -> None:
    refuse([
        at(path, count, f"{count} lines; a file holds one idea: split it")
        for path, text, _ in parsed(SOURCE, ROOT / "spec", ROOT / "tests", ROOT / "benchmarks")
        if (count := len(text.splitlines())) > FILE_LINES_MAX
    ])  # fmt: skip


def lines_of(function: Function) -> int:
    """Lines from `def` to the end, without the docstring."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        assert first.end_lineno is not None
        lines -= first.end_lineno - first.lineno + 1
    return lines


def test_no_function_is_longer_than_50_lines() -> None:
    refuse([
        at(path, node.lineno, f"{node.name} has {lines_of(node)} lines; give its steps names")
        for path, _, tree in parsed(SOURCE, ROOT / "spec", ROOT / "tests", ROOT / "benchmarks")
        for node in ast.walk(tree)
        if isinstance(node, Function) and lines_of(node) > FUNCTION_LINES_MAX
    ])  # fmt: skip


# ---- words


def test_every_module_says_what_it_is_for() -> None:
    refuse([
        at(path, 1, "no docstring; say in one line what the module is for")
        for path, _, tree in parsed(SOURCE, ROOT / "spec")
        if not ast.get_docstring(tree)
    ])  # fmt: skip


def test_every_todo_has_an_issue_number() -> None:
    todo = re.compile(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))")
    code = ((path, text) for path, text in tracked_texts() if path.suffix in {".py", ".toml", ".sh"})
    refuse(lines_matching(todo, code, "write TODO(#12): ..., or do it"))


# ---- errors and output


def catches_everything(handler: ast.ExceptHandler) -> bool:
    """True if the handler can end an error of any kind; one that cleans up and raises it again cannot."""
    last = handler.body[-1]
    if isinstance(last, ast.Raise) and last.exc is None:
        return False
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or dotted(kind) in {"Exception", "BaseException"} for kind in kinds)


def test_exceptions_of_every_kind_are_caught_at_three_doors_only() -> None:
    allowed = [*DOORS, *MORE_DOORS]
    refuse([
        at(path, node.lineno, "catches everything; name the errors, or let it go to one of the doors")
        for path, _, tree in source_files()
        if str(path.relative_to(SOURCE)) not in allowed
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    ])  # fmt: skip


def test_only_the_command_prints() -> None:
    def may_print(path: Path) -> bool:
        place = path.relative_to(SOURCE)
        return place.parts[0] == "cli" or str(place) == "cluster/demo.py"

    refuse([
        at(path, node.lineno, "prints; use the logger of the module")
        for path, _, tree in source_files()
        if not may_print(path)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and dotted(node.func) in {"print", "sys.stdout.write", "sys.stderr.write"}
    ])  # fmt: skip


# ---- the same run from the same seed


def is_set(node: ast.expr) -> bool:
    return isinstance(node, ast.Set | ast.SetComp) or (
        isinstance(node, ast.Call) and dotted(node.func) in {"set", "frozenset"}
    )


def iterated(tree: ast.Module) -> Iterator[ast.expr]:
    """What loops, comprehensions and the calls that keep the order of their argument go through."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            yield node.iter
        elif isinstance(node, ast.Call) and dotted(node.func) in {"list", "tuple", "enumerate", "iter", "zip", "map"}:
            yield from node.args


def test_roles_do_not_iterate_over_sets() -> None:
    refuse([
        at(path, node.lineno, "the order of a set differs from run to run; use a list, a dict or sorted(...)")
        for path, _, tree in source_files(*ROLES)
        for node in iterated(tree)
        if is_set(node)
    ])  # fmt: skip


# ---- tests


def test_tests_do_not_sleep() -> None:
    refuse([
        at(path, node.lineno, "sleeps; wait for the event itself, or use the simulated clock")
        for path, _, tree in test_files()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and dotted(node.func) in {"time.sleep", "asyncio.sleep", "sleep"}
        if not is_yield_to_the_loop(node)
    ])  # fmt: skip


def is_yield_to_the_loop(node: ast.Call) -> bool:
    """`asyncio.sleep(0)` lets others run and waits for no clock."""
    zero = len(node.args) == 1 and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0
    return zero and dotted(node.func) == "asyncio.sleep"


def test_tests_replace_parts_by_passing_others_in() -> None:
    patchers = re.compile(r"(^|\.)(mock\.patch|monkeypatch\.setattr|mocker\.patch)(\.|$)")
    refuse([
        at(path, node.lineno, "patches a name; pass a fake part in, one that its conformance suite knows")
        for path, _, tree in test_files()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and patchers.search(dotted(node))
    ])  # fmt: skip


# ---- safeguards


def test_safeguards_are_built_by_nobody_but_the_simulator() -> None:
    """Goal: no file, flag or variable of the environment can turn a safeguard off.

    Method: whatever reads settings (config, cli, env) does not name the module's struct with an argument, and
    nobody but sim calls it with one or replaces its fields.
    """
    faults = []
    for path, _, tree in source_files():
        place = path.relative_to(SOURCE)
        if place.parts[0] == "sim":
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not (node.args or node.keywords):
                continue
            name = dotted(node.func)
            if name.split(".")[-1] == "Safeguards":
                faults.append(at(path, node.lineno, "builds safeguards by hand; call Safeguards() without arguments"))
            replaced = name in {"replace", "dataclasses.replace", "msgspec.structs.replace", "structs.replace"}
            if replaced and node.args and "safeguards" in dotted(node.args[0]).lower():
                faults.append(at(path, node.lineno, "changes safeguards; only sim may"))
    refuse(faults)


def test_safeguards_read_nothing() -> None:
    path = SOURCE / "safeguards.py"
    if not path.exists():
        return
    allowed = {"dataclasses", "typing", "msgspec", "__future__"}
    faults = []
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        faults += [
            at(path, node.lineno, f"imports {name}; this module reads nothing") for name in names if name not in allowed
        ]
        if isinstance(node, ast.Call) and dotted(node.func) in {"open", "getattr", "__import__"}:
            faults.append(at(path, node.lineno, "reads something; this module reads nothing"))
    refuse(faults)


def test_settings_do_not_reach_the_safeguards() -> None:
    readers = [(path, tree) for path, _, tree in source_files() if path == SOURCE / "config.py" or "env" in path.parts]
    refuse([
        at(path, node.lineno, "names the safeguards; no setting may reach them")
        for path, tree in readers
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Name | ast.Attribute)
        if "safeguards" in ast.unparse(node).lower()
    ])  # fmt: skip


# ---- what crosses the door of the repository


def test_no_file_names_a_package_registry() -> None:
    hosts = re.compile(
        r"\b(pypi\.(org|python)|(test\.)?pypi\.org|files\.pythonhosted|--(extra-)?index-url|--find-links|--trusted-host)"
    )
    files = ((path, text) for path, text in tracked_texts() if path.name != "Makefile")
    refuse(lines_matching(hosts, files, "whoever installs chooses the registry"))


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    paths = re.compile(r"(?<![\w./~-])/(work|root|Users)/\w*")
    refuse(lines_matching(paths, tracked_texts(), "name a place by what it is, or take it from a setting"))


# ---- a light import


def test_importing_the_package_loads_no_server_and_few_libraries() -> None:
    """Goal: a program that only opens a file pays for nothing else.

    Method: in a fresh interpreter, compare what is loaded before and after the import.
    """
    if not (SOURCE / "__init__.py").exists():
        return
    program = "import sys; before = set(sys.modules); import cairnfs; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    mine = [name.split(".")[1] for name in loaded if name.startswith("cairnfs.")]
    heavy = ["master", "chunkserver", "meta", "cluster", "sim", "testing", "cli", "web", "fuse", "fsspec", "gateway"]
    assert [name for name in mine if name in heavy] == []
    others = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"cairnfs"}
    assert sorted(others - {"msgspec", "fastcrc"}) == []
