"""Tests notice a wrong row of a fact table: checked for some rows in each run, for all with `scripts/bench facts`."""

import ast
import subprocess
import sys
import zlib

import pytest

from tests.facts import NO_DIFFERENCE
from tests.facts import ROOT
from tests.facts import all_changes
from tests.facts import changes_of
from tests.facts import read_sources

SOURCES = read_sources()
CHANGES = all_changes(SOURCES)
TABLES = """
NAMES: dict[str, str] = {"a": "b", "c": STOP} | {"d": GO}
RATIOS = ("1:1", "2:3")
WORDS = frozenset("red green".split())
FAMILIES = (Family("veo", seconds=8, is_known=True),)
NUMBER = 5
OTHERS = tuple(name for name in NAMES)
def inside(): THESE = {"a": "b"}
"""


def test_what_is_changed() -> None:
    told = [str(change).removeprefix("m: ") for change in changes_of("m", ast.parse(TABLES))]
    assert told == [
        "NAMES: 'a': dropped",
        "NAMES: 'a': 'b' becomes 'bx'",
        "NAMES: 'c': dropped",
        "NAMES: 'c': becomes 'b'",
        "NAMES: 'd': dropped",
        "RATIOS: '1:1': dropped",
        "RATIOS: '2:3': dropped",
        "WORDS: 'red': dropped",
        "WORDS: 'green': dropped",
        "FAMILIES: Family('veo', seconds=8, is_known=True): dropped",
        "FAMILIES: Family('veo', seconds=8, is_known=True): 'veo' becomes 'veox'",
        "FAMILIES: Family('veo', seconds=8, is_known=True): 8 becomes 7",
        "FAMILIES: Family('veo', seconds=8, is_known=True): True becomes False",
    ]


def test_a_change_changes_one_thing() -> None:
    after = []
    for number in range(len(list(changes_of("m", ast.parse(TABLES))))):
        tree = ast.parse(TABLES)
        list(changes_of("m", tree))[number].make()
        after.append(ast.unparse(tree))
    assert len({ast.unparse(ast.parse(TABLES)), *after}) == len(after) + 1
    assert "{'c': STOP} | {'d': GO}" in after[0]
    assert "{'a': 'b', 'c': 'b'}" in after[3]


@pytest.mark.parametrize("known", NO_DIFFERENCE, ids=": ".join)
def test_what_makes_no_difference_is_still_there(known: tuple[str, str]) -> None:
    assert any(change.is_told(*known) for change in CHANGES)


def test_a_sample() -> None:
    assert len(CHANGES) > 1000
    # The sample is another one whenever a source changes, and the same one as long as none does.
    seed = zlib.crc32(b"".join((ROOT / source.path).read_bytes() for source in SOURCES.values()))
    command = [sys.executable, "-m", "tests.facts", "--sample", "5", "--seed", str(seed)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}{ended.stderr}"
    assert f" noticed (seed {seed})" in ended.stdout
