"""Parses a YAML file into plain data with line numbers.

Every scalar is the text as written: `no` is not a boolean, `0123` not an octal number. Anchors, aliases and tags are
refused, so that the file means what a reader sees.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import NamedTuple
from typing import TypeAlias

import yaml
from yaml.reader import ReaderError

Data: TypeAlias = str | list["Data"] | dict[str, "Data"]
MemberPath = tuple[str | int, ...]
"""The path to a member: mapping keys and list indexes, such as `("routes", 0, "model")`."""


class Problem(NamedTuple):
    """Something that is wrong with a file."""

    line: int
    """Line number, from 1."""
    member: MemberPath
    text: str
    """What is wrong, or what to write instead. It quotes no values."""

    def message(self, file: Path) -> str:
        """An error message such as `gateway.yaml:3: services.prod.auth: appears twice, first in line 2`."""
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.member if step != "[key]")
        where = "".join(steps).removeprefix(".")
        return f"{file}:{self.line}: {where + ': ' if where else ''}{self.text}"


@dataclass(slots=True)
class Document:
    """The part of a file that could be read, and the problems with the rest."""

    data: Data | None = None
    problems: list[Problem] = field(default_factory=list)
    lines: dict[MemberPath, int] = field(default_factory=lambda: {(): 1})

    def line(self, path: MemberPath) -> int:
        """The line (from 1) where a member begins; if it does not exist, that of the innermost member around it."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def parse(content: bytes) -> Document:
    """Parse a YAML file. Raises nothing: errors are in the document's `problems`."""
    document = Document()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        document.problems.append(Problem(_line(content[: e.start].decode()), (), "is not UTF-8"))
        return document
    try:
        root = yaml.compose(text, Loader=_Loader)
        if root is None:
            document.problems.append(Problem(1, (), "is empty"))
        else:
            document.data = _plain(root, (), document)
    except ReaderError as e:
        document.problems.append(Problem(_line(text[: e.position]), (), "has a character that YAML does not allow"))
    except yaml.MarkedYAMLError as e:
        line = e.problem_mark.line + 1 if e.problem_mark else 1
        document.problems.append(Problem(line, (), f"cannot be read as YAML ({e.problem})"))
    except RecursionError:
        document.problems.append(Problem(1, (), "is nested too deeply"))
    return document


def _line(before: str) -> int:
    return before.count("\n") + 1


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None):
            # A few aliases can expand to a document of any size.
            raise yaml.MarkedYAMLError(problem="anchors and aliases are not supported", problem_mark=event.start_mark)
        return super().compose_node(parent, index)


_NULL = "tag:yaml.org,2002:null"
_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in "str int float bool null timestamp merge value map seq".split()
)
"""The tags that YAML itself gives to scalars, lists and mappings that are written without one."""
NO_VALUE = "has no value; write one, or leave it out"


def _plain(node: yaml.Node, path: MemberPath, document: Document) -> Data | None:
    """The data of a node; None if it has no value, which is recorded as a problem."""
    document.lines.setdefault(path, node.start_mark.line + 1)
    if node.tag not in _TAGS:
        document.problems.append(Problem(document.line(path), path, "has a YAML tag; write plain text"))
    if isinstance(node, yaml.MappingNode):
        return dict(_members(node, path, document))
    if isinstance(node, yaml.SequenceNode):
        items: list[Data] = []
        for item in node.value:
            place = (*path, len(items))
            if (value := _plain(item, place, document)) is not None:
                items.append(value)
            else:
                del document.lines[place]
        return items
    if node.tag == _NULL:
        document.problems.append(Problem(document.line(path), path, NO_VALUE))
        return None
    return str(node.value)


def _members(node: yaml.MappingNode, path: MemberPath, document: Document) -> Iterator[tuple[str, Data]]:
    for key, member in node.value:
        line, name = key.start_mark.line + 1, str(key.value)
        inside = (*path, name)
        if not isinstance(key, yaml.ScalarNode) or not name:
            document.problems.append(Problem(line, path, "has a name that is not text"))
        elif inside in document.lines:
            document.problems.append(Problem(line, inside, f"appears twice, first in line {document.lines[inside]}"))
        else:
            document.lines[inside] = line
            if (value := _plain(member, inside, document)) is not None:
                yield name, value
