"""Rules of the architecture: which packages may import which, how long files may be, that every module has a test."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import mitmproxy.addons  # noqa: F401 (so that all hooks are known)
import pytest
from hypothesis import settings
from mitmproxy.hooks import all_hooks

from addons.attempts import Attempt
from addons.exchange import Exchange
from addons.metered import Metered
from metering.call import Call
from tests.process import ROOT

SOURCES = sorted(
    path.relative_to(ROOT)
    for folder in ("addons", "metering", "scripts")
    for path in (ROOT / folder).rglob("*.py")
    if path.read_text().count("\n") > 3
)
ABOVE = {
    "scripts": (),
    "addons": ("scripts", "vertex_tap"),
    "metering": ("scripts", "vertex_tap", "addons", "mitmproxy"),
}
"""Folder -> packages that it must not import. Imports go one way: scripts -> addons -> metering."""


MOST_LINES = 450
"""The most lines of a source file. A source file is called a room here."""
MOST_LINES_OF_A_CLASS = 250


def module_of(path: Path) -> str:
    """The name under which a source file is imported: `addons/translation/__init__.py` is `addons.translation`."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if path.stem == "__init__" else parts)


PATHS = {
    module_of(path.relative_to(ROOT)): path for path in ROOT.glob("*/**/*.py") if path.parts[len(ROOT.parts)] in ABOVE
}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, also inside functions and under TYPE_CHECKING. `from a import b` gives `a`, and
    also `a.b` if that is a module of ours."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or ""
            yield from (name for alias in node.names if (name := f"{node.module}.{alias.name}") in PATHS)


@cache
def runs(module: str) -> frozenset[str]:
    """The modules of ours that run directly when `module` is imported: those that it imports, and their packages.
    `import a.b` runs `a/__init__.py` first; so does importing `a.b` itself."""
    names = {module, *imported(PATHS[module])}
    packages = {name.rsplit(".", up)[0] for name in names for up in range(1, name.count(".") + 1)}
    return frozenset((names | packages) & set(PATHS)) - {module}


@cache
def reached(module: str) -> frozenset[str]:
    """All modules of ours that run when `module` is imported, directly or not."""
    found: set[str] = set()
    ahead = [module]
    while ahead:
        ahead += (more := runs(ahead.pop()) - found)
        found |= more
    return frozenset(found)


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_imports_go_one_way(path: Path) -> None:
    above = ABOVE[path.parts[0]]
    if path.parts[:2] == ("addons", "translation"):
        above = (*above, "mitmproxy")
    names = set(imported(path)).union(*(imported(PATHS[module]) for module in reached(module_of(path))))
    assert not [name for name in names if name.split(".")[0] in above]


def circles() -> set[str]:
    """Groups of modules that import each other, each as a text: `a, b, c`."""
    groups = ({other for other in reached(module) if module in reached(other)} for module in PATHS)
    return {", ".join(sorted(group)) for group in groups if group}


def large_rooms() -> set[str]:
    return {str(path) for path in SOURCES if (ROOT / path).read_text().count("\n") > MOST_LINES}


def large_classes() -> set[str]:
    classes = ((path, node) for path in SOURCES for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef))
    return {
        f"{path}: {node.name}"
        for path, node in classes
        if (node.end_lineno or 0) - node.lineno >= MOST_LINES_OF_A_CLASS
    }


WAY = (
    *("load", "configure", "running", "client_connected"),
    *("requestheaders", "request", "responseheaders", "response"),
    *("websocket_start", "websocket_message", "websocket_end"),
    *("error", "client_disconnected", "done"),
)
"""The hooks of an addon, in the order in which mitmproxy calls them, from its start to its end."""


def hooks_of(node: ast.ClassDef) -> list[str]:
    """The names of the hooks in a class, in its order, including assigned ones (`request = requestheaders`)."""
    names: list[str] = []
    for part in node.body:
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            names.append(part.name)
        elif isinstance(part, ast.Assign):
            names += [target.id for target in part.targets if isinstance(target, ast.Name)]
    return [name for name in names if name in all_hooks]


def with_hooks() -> Iterator[tuple[Path, str, list[str]]]:
    for path in SOURCES:
        for node in tree_of(path).body if path.parts[0] == "addons" else ():
            if isinstance(node, ast.ClassDef) and (hooks := hooks_of(node)):
                yield path, node.name, hooks


def named_differently() -> set[str]:
    """The addons whose class is not named after its file, as `Meter` is after `meter.py`."""
    return {f"{path}: {name}" for path, name, _ in with_hooks() if name != path.stem.title().replace("_", "")}


def out_of_order() -> set[str]:
    ordered = ((path, name, [hook for hook in hooks if hook in WAY]) for path, name, hooks in with_hooks())
    return {f"{path}: {name}" for path, name, hooks in ordered if hooks != sorted(hooks, key=WAY.index)}


BROKEN = {
    "circle": circles,
    "room": large_rooms,
    "class": large_classes,
    "addon": named_differently,
    "hooks": out_of_order,
}
"""Rule -> the function that lists what breaks it. `circle`: modules that import each other. `room`, `class`: files and
classes that are too long. `addon`: classes with hooks whose file has another name. `hooks`: addons whose hooks are not
in the order in which mitmproxy calls them."""


@pytest.mark.parametrize("rule", BROKEN)
def test_the_house_is_in_order(rule: str) -> None:
    assert BROKEN[rule]() == set()


def test_the_way_is_of_hooks() -> None:
    assert set(all_hooks) >= set(WAY)
    assert {"addons/meter.py", "addons/route.py"} <= {str(path) for path, *_ in with_hooks()}


def test_for(path: Path) -> Path:
    """The path of a module's test: `tests/a/test_b.py` for `a/b.py`, and `tests/test_a.py` for `a/__init__.py`."""
    folder, name = (path.parent.parent, path.parent.name) if path.stem == "__init__" else (path.parent, path.stem)
    return Path("tests") / folder / f"test_{name}.py"


test_for.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_every_module_has_its_test(path: Path) -> None:
    assert (ROOT / test_for(path)).is_file()


OF_A_FOLDER = {Path("tests/metering/usage/test_recordings.py")}
"""Tests of all modules of a folder together."""


def test_every_test_has_its_module() -> None:
    expected = {test_for(path) for path in SOURCES}
    mirrored = {
        path.relative_to(ROOT)
        for folder in ("addons", "metering", "scripts")
        for path in (ROOT / "tests" / folder).rglob("test_*.py")
    }
    assert mirrored == expected | OF_A_FOLDER


def test_no_module_of_addons_hides_another() -> None:
    """mitmproxy puts the folder of a script on sys.path, so our files could hide modules of the same name."""
    installed = {name for names in importlib.metadata.packages_distributions() for name in (names,)}
    ours = {path.stem for path in (ROOT / "addons").glob("*.py")} - {"__init__"}
    assert not ours & (set(sys.stdlib_module_names) | installed - {"addons"})


def test_no_junk_drawers() -> None:
    assert not {path.stem for path in SOURCES} & {"utils", "helpers", "common", "base", "misc"}


def test_hypothesis_is_set_up() -> None:
    """By `tests/conftest.py`, in every process that runs tests. Else slow machines fail at deadlines."""
    assert settings().deadline is None
    assert settings().max_examples in (20, 50)


def test_the_version_is_told_once() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version == importlib.metadata.version("vertex-tap")
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


LINKED = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", LINKED, ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


# Which file assigns which field of a call

NAMED: dict[Any, str] = {Exchange: "exchange", Metered: "metered", Call: "call", Attempt: "attempt"}
"""Class -> the name of variables that hold an instance."""


def written_in(path: Path) -> Iterator[str]:
    """The fields of a call that a file assigns, as `Exchange.state`."""
    for owner, node in owned(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            holder = ast.unparse(node.value).rpartition(".")[2]
            for kind, name in NAMED.items():
                is_of_it = holder == name or (holder == "self" and owner == kind.__name__)
                if is_of_it and node.attr in kind.__dataclass_fields__:
                    yield f"{kind.__name__}.{node.attr}"


def owned(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Every node of a tree, with the name of the class that it is in; empty outside of classes."""
    for statement in tree.body:
        owner = statement.name if isinstance(statement, ast.ClassDef) else ""
        yield from ((owner, node) for node in ast.walk(statement))


def test_each_field_of_a_call_has_one_writer() -> None:
    """The table in docs/architecture.md names it. `Exchange.attempts` is a list, which is changed, but not assigned."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| ((?:`\w+\.\w+` ?)+)\|.*\| `(\w+\.py)` \|$", page, re.MULTILINE)
    told = {(field, writer) for fields, writer in rows for field in re.findall(r"[\w.]+", fields)}
    found = {(field, path.name) for path in SOURCES if path.parts[0] == "addons" for field in written_in(path)}
    assert found == told - {("Exchange.attempts", "exchange.py")}
