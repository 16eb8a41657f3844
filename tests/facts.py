"""Checks that tests notice wrong facts: changes the rows of the tables in the code, one at a time, and runs the tests.

python -m tests.facts [--only MODULE] [--sample N] [--seed N]

A fact table is a literal that a module of PACKAGES assigns at its top level: a dict, tuple, list or set, also as
`frozenset({...})` or as words (`"a b".split()`). There are several changes of each row: it is dropped, and each
constant in it is changed. For example, the row `"heif": "image/heif"` is dropped, then becomes `"heif": "image/heifx"`.

A change is never written to a file. A process that has imported pytest and the libraries is forked. The fork compiles
the module with the changed table, then runs the tests that may notice: the tests of the module, the golden tables, the
tests of modules that import it. Tests that run a proxy, and tests with hypothesis, are left out: the ones are slow, the
others notice a change by chance only. A test that computes its expectation from the table never fails, so it notices
nothing. The changes that no test noticed are printed, and the number of those that were noticed. The exit status is 1
if a change was not noticed.
"""

import argparse
import ast
import gc
import importlib.machinery
import importlib.util
import os
import random
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import CodeType
from types import ModuleType
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("addons.translation", "metering")
GOLDEN = Path("tests/test_golden.py")
RUNNING = frozenset({"start_proxy", "proxy", "simulator", "google", "postgresql"})
"""Fixtures that run processes or servers."""
LONGEST_S = 300
"""The time limit of the tests of one change, in seconds. If they take longer, that is printed, and the change counts as
noticed."""
OPTIONS = (
    *("-x", "-q", "--no-header", "--no-summary", "--tb=no", "--assert=plain", "-o", "timeout=60"),
    *("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:anyio"),
)

NO_DIFFERENCE = (
    # A reason without a row is read in the same way.
    ("addons.translation.gemini", "FINISH_REASONS: 'OTHER': dropped"),
    # If an answer has an error, nothing else of it is read.
    ("addons.translation.gemini", "_WRITTEN_OF_ANSWERS: 'error'"),
    # These names are used only to report what Claude or Gemini do not take, and neither answers Google's clients.
    *(
        ("addons.translation.gemini", f"NAMES: '{name}'")
        for name in ("seed", "logprobs", "top_logprobs", "tool_choice", "format", "detail")
    ),
    # All callers of `named("turns", ...)` give "messages" as the default.
    ("addons.translation.openai_chat", "NAMES: 'turns': dropped"),
    # Clients of Gemini's dialect and of Responses, which get it, get the same for "stop".
    ("addons.translation.openai_chat", "FINISH_REASONS: 'function_call': becomes"),
    ("addons.translation.openai_chat", "FINISH_REASONS: 'tool_calls': becomes"),
    # What a client asks to stop at is a list.
    ("addons.translation.openai_chat.write_request", "STEERING: 'stop': None becomes"),
    # A day of the next week, and the last day of this week if today is Monday: all days are folded.
    ("metering.pages.html_report", "FOLDED_AFTER_DAYS: -7: 7 becomes 6"),
)
"""Changes that no test can notice: their package, and the beginning of their text. If the row does not help a reader
either, it is better to delete it from its table."""


# Changes


class Change(NamedTuple):
    """A change of one row of a table."""

    module: str
    table: str
    row: str
    """The beginning of the row's source."""
    what: str
    """What is changed: `dropped`, `'a' becomes 'ax'`."""
    make: Callable[[], None]
    """Makes the change in the module's syntax tree."""

    def __str__(self) -> str:
        return f"{self.module}: {self.text}"

    @property
    def text(self) -> str:
        return f"{self.table}: {self.row}: {self.what}"

    def is_told(self, package: str, beginning: str) -> bool:
        return is_in(self.module, package) and self.text.startswith(beginning)


class Source(NamedTuple):
    """The source of a module, of ours or of the tests."""

    path: Path
    """Relative to ROOT."""
    tree: ast.Module
    imports: frozenset[str]

    @property
    def test(self) -> Path:
        """The path of the module's test: `tests/a/test_b.py` for `a/b.py`, `tests/test_a.py` for `a/__init__.py`."""
        is_package = self.path.stem == "__init__"
        folder, name = (
            (self.path.parent.parent, self.path.parent.name) if is_package else (self.path.parent, self.path.stem)
        )
        return Path("tests") / folder / f"test_{name}.py"


Row = tuple[str, str, Callable[[], None]]
"""The fields `row`, `what` and `make` of a Change."""


def changes_of(module: str, tree: ast.Module) -> Iterator[Change]:
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and not target.id.startswith("__"):
                yield from (Change(module, target.id, *row) for row in _rows(node.value))


def _rows(table: ast.expr) -> Iterator[Row]:
    match table:
        case ast.Dict(keys, values):
            for key, value in zip(list(keys), list(values), strict=True):
                row = _beginning(key or value)
                yield row, "dropped", partial(_drop, table, value)
                cells = list(_cells(row, value))
                yield from cells
                other = next((other for other in values if ast.dump(other) != ast.dump(value)), None)
                if other and not cells:
                    yield row, f"becomes {_beginning(other)}", partial(_put, values, values.index(value), other)
        case ast.Tuple(elts) | ast.List(elts) | ast.Set(elts):
            for value in list(elts):
                yield _beginning(value), "dropped", partial(elts.remove, value)
                if not isinstance(value, ast.Constant):
                    yield from _cells(_beginning(value), value)
        case ast.BinOp(left, ast.BitOr(), right):
            yield from _rows(left)
            yield from _rows(right)
        case ast.Call(ast.Name("frozenset" | "set" | "tuple" | "dict"), [within]):
            yield from _rows(within)
        case ast.Call(ast.Attribute(ast.Constant(str()) as words, "split")) | ast.Call(
            ast.Name(), [ast.Constant(str()) as words]
        ):
            named = str(words.value).split()
            for word in named if len(named) > 1 else ():
                others = " ".join(other for other in named if other != word)
                yield repr(word), "dropped", partial(setattr, words, "value", others)


def _cells(row: str, value: ast.expr) -> Iterator[Row]:
    for node in ast.walk(value):
        if isinstance(node, ast.Constant) and (changed := _changed(node.value)) is not None:
            yield row, f"{node.value!r} becomes {changed!r}", partial(setattr, node, "value", changed)


def _changed(value: object) -> object:
    match value:
        case bool():
            return not value
        case int() | float():
            # One less: one more could be the next generation of models, which is treated like the newest.
            return value - 1 if value > 0 else value + 1
        case str():
            return value + "x"
        case bytes():
            return value + b"x"
        case None:
            return "x"
    return None


def _drop(table: ast.Dict, value: ast.expr) -> None:
    at = table.values.index(value)
    del table.keys[at], table.values[at]


def _put(values: list[ast.expr], at: int, value: ast.expr) -> None:
    values[at] = value


def _beginning(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) < 60 else f"{text[:57]}..."


# Modules


def is_in(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def read_sources() -> dict[str, Source]:
    """Module -> its source, for all modules in addons, metering and tests."""
    paths = {
        ".".join(path.with_suffix("").parts).removesuffix(".__init__"): path
        for folder in ("addons", "metering", "tests")
        for path in (file.relative_to(ROOT) for file in sorted((ROOT / folder).rglob("*.py")))
        if path.parts[:2] != ("tests", "clients") and "node_modules" not in path.parts
    }
    trees = {module: ast.parse((ROOT / path).read_text()) for module, path in paths.items()}
    return {module: Source(path, trees[module], _imports(trees[module])) for module, path in paths.items()}


def _imports(tree: ast.Module) -> frozenset[str]:
    """The modules that a syntax tree imports. `from a import b` counts as `a` and `a.b`, as `b` may be a module."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update({node.module}, (f"{node.module}.{alias.name}" for alias in node.names))
    return frozenset(names)


def all_changes(sources: dict[str, Source]) -> list[Change]:
    return [
        change
        for module, source in sources.items()
        if any(is_in(module, package) for package in PACKAGES)
        for change in changes_of(module, source.tree)
    ]


def stages(module: str, sources: dict[str, Source]) -> list[list[str]]:
    """The test files that may notice a change in a module, in groups; those that are most likely to come first."""
    near = {sources[module].test}
    importing = [source for name, source in sources.items() if module in source.imports]
    using = {source.path for source in importing if source.path.parts[0] == "tests"} - near
    far = {source.test for source in importing if source.path.parts[0] != "tests"} - near - using
    wanted = [sorted(filter(_is_of_a_module, paths)) for paths in (near, using)]
    wanted += [[GOLDEN], sorted(filter(_is_of_a_module, far))]
    return [there for stage in wanted if (there := [str(path) for path in stage if (ROOT / path).is_file()])]


def _is_of_a_module(test: Path) -> bool:
    """Whether a file has the tests of one module of ours."""
    return test.stem.startswith("test_") and test.parts[1] in ("addons", "metering")


def import_what_stays(module: str, tests: list[list[str]], sources: dict[str, Source]) -> None:
    """Imports, for all forks at once, the modules that the tests need and that do not depend on `module`: libraries,
    and those of ours that do not import it."""
    # The command line imports nearly all.
    reaching = {module, "vertex_tap"}
    while (
        more := {
            name
            for name, source in sources.items()
            # To import a module runs its packages first, so it depends on them.
            if source.imports & reaching or any(is_in(name, other) for other in reaching)
        }
        - reaching
    ):
        reaching |= more
    paths = {str(source.path): name for name, source in sources.items()}
    ahead, needed = {"tests.conftest", *(paths[path] for stage in tests for path in stage)}, set[str]()
    while ahead:
        needed |= ahead
        ahead = {name for told in ahead if told in sources for name in sources[told].imports} - needed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in sorted(needed - reaching):
            is_test = name.rpartition(".")[2].startswith(("test_", "conftest"))
            is_ours = name.split(".")[0] in ("addons", "metering", "tests", "vertex_tap")
            if not is_ours or (name in sources and not is_test):
                with suppress(ImportError):
                    importlib.import_module(name)
    gc.freeze()


# Running


class Changed(importlib.machinery.SourceFileLoader):
    """Finds and loads one module, from a syntax tree instead of its file."""

    def __init__(self, module: str, source: Source) -> None:
        super().__init__(module, str(ROOT / source.path))
        self._tree = source.tree

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return (
            importlib.util.spec_from_file_location(fullname, self.path, loader=self) if fullname == self.name else None
        )

    def get_code(self, fullname: str) -> CodeType:
        return compile(ast.fix_missing_locations(self._tree), self.path, "exec")


class InProcess:
    """A plugin of pytest that leaves out tests whose result depends on other processes or on chance."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [
            item
            for item in items
            if not RUNNING.intersection(getattr(item, "fixturenames", ())) and not item.get_closest_marker("hypothesis")
        ]


PASSED, NOTICED, BROKEN, ENDLESS = 0, 1, 2, 3


def in_fork(do: Callable[[], int]) -> int:
    """Runs `do` in a fork and returns its result: ENDLESS if SIGALRM ends the fork, NOTICED if another signal does."""
    if not (child := os.fork()):
        status = BROKEN
        try:
            status = do()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else ENDLESS if code == -signal.SIGALRM else NOTICED


def run_tests(stages: list[list[str]], change: Change | None, source: Source) -> int:
    """Runs groups of tests with a change of `source`, or with none. Returns PASSED, NOTICED or BROKEN."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    signal.alarm(LONGEST_S)
    if change:
        assert change.module not in sys.modules
        change.make()
        sys.meta_path.insert(0, Changed(change.module, source))
    for paths in stages:
        match pytest.main([*OPTIONS, *paths], plugins=[InProcess()]):
            # USAGE_ERROR is the code if a conftest.py cannot be imported.
            case pytest.ExitCode.TESTS_FAILED | pytest.ExitCode.INTERRUPTED | pytest.ExitCode.USAGE_ERROR:
                return NOTICED
            case pytest.ExitCode.OK | pytest.ExitCode.NO_TESTS_COLLECTED:
                continue
            case _:
                return BROKEN
    return PASSED


def judge(module: str, changes: list[Change], sources: dict[str, Source], *, is_sample: bool) -> int:
    """The number of changes of a module that no test notices; these are printed. For a sample, it is not checked that
    the tests pass without a change."""
    source, tests, began = sources[module], stages(module, sources), time.monotonic()
    import_what_stays(module, tests, sources)
    if not is_sample and in_fork(partial(run_tests, tests, None, source)) != PASSED:
        print(f"{module}: its tests fail as it is: {tests}")
        return len(changes)
    survived = 0
    for change in changes:
        code = in_fork(partial(run_tests, tests, change, source))
        if code == BROKEN:
            raise RuntimeError(f"the tests cannot be run: {change}")
        if code == ENDLESS:
            print(f"the tests do not end: {change}", flush=True)
        if code == PASSED:
            survived += 1
            print(f"no test fails: {change}", flush=True)
    took = time.monotonic() - began
    print(f"{module}: {len(changes) - survived} of {len(changes)} noticed, {took:.0f} s", flush=True)
    return survived


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="MODULE", help="such as metering.paths; a package stands for all in it")
    parser.add_argument("--sample", type=int, metavar="N", help="only so many changes of one module")
    parser.add_argument("--seed", type=int, default=1, help="which, of a sample")
    told = parser.parse_args()
    os.chdir(ROOT)
    sources = read_sources()
    changes = [
        change
        for change in all_changes(sources)
        if not told.only or is_in(change.module, told.only)
        if not any(change.is_told(*known) for known in NO_DIFFERENCE)
    ]
    if told.sample:
        chance = random.Random(told.seed)
        module = chance.choice(changes).module
        changes = [change for change in changes if change.module == module]
        changes = chance.sample(changes, min(told.sample, len(changes)))
    survived = 0
    for module in dict.fromkeys(change.module for change in changes):
        of_module = [change for change in changes if change.module == module]
        survived += in_fork(partial(judge, module, of_module, sources, is_sample=bool(told.sample)))
    print(f"{len(changes) - survived} of {len(changes)} noticed" + (f" (seed {told.seed})" if told.sample else ""))
    raise SystemExit(bool(survived))


if __name__ == "__main__":
    main()
