"""The architecture: what may import what, and that every module has its test."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

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
"""What a folder must not import: the way goes scripts -> addons -> metering."""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or ""


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_imports_go_one_way(path: Path) -> None:
    above = ABOVE[path.parts[0]]
    if path.parts[:2] == ("addons", "translation"):
        above = (*above, "mitmproxy")
    assert not [name for name in imported(path) if name.split(".")[0] in above]


def test_for(path: Path) -> Path:
    """Where the test of a module is; that of a package is named like it."""
    folder, name = (path.parent.parent, path.parent.name) if path.stem == "__init__" else (path.parent, path.stem)
    return Path("tests") / folder / f"test_{name}.py"


test_for.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_every_module_has_its_test(path: Path) -> None:
    assert (ROOT / test_for(path)).is_file()


def test_every_test_has_its_module() -> None:
    expected = {test_for(path) for path in SOURCES}
    mirrored = {
        path.relative_to(ROOT)
        for folder in ("addons", "metering", "scripts")
        for path in (ROOT / "tests" / folder).rglob("test_*.py")
    }
    assert mirrored == expected


def test_no_module_of_addons_hides_another() -> None:
    """mitmproxy puts the folder of a script on sys.path."""
    installed = {name for names in importlib.metadata.packages_distributions() for name in (names,)}
    ours = {path.stem for path in (ROOT / "addons").glob("*.py")} - {"__init__"}
    assert not ours & (set(sys.stdlib_module_names) | installed - {"addons"})


def test_one_addon_one_file_one_class() -> None:
    for path in (ROOT / "addons").glob("*.py"):
        classes = re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE)
        hooks = re.search(
            r"^    (?:async )?def (?:request|response|running|configure|done)\(", path.read_text(), re.MULTILINE
        )
        if hooks:
            assert path.stem.title().replace("_", "") in classes, path


def test_no_junk_drawers() -> None:
    assert not {path.stem for path in SOURCES} & {"utils", "helpers", "common", "base", "misc"}


def test_the_version_is_told_once() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version == importlib.metadata.version("vertex-tap")
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


LINKED = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", LINKED, ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
