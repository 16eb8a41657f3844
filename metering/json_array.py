"""JSON, read as the bytes arrive and kept only where it is wanted.

Strategy: answers may carry hundreds of megabytes of base64, vectors or text around a handful of counts. Small
values go through `json`; larger ones through `JsonScanner`, which builds only the members whose names are
wanted (all along the path from the top) and skips the rest at the speed of a regular expression, holding
nothing. Both are paid from a budget, beyond which `TooMuchWork` is raised. `feed(bytes)` returns the values that
these bytes completed: the elements of an array at the top (the form of streamGenerateContent without `alt=sse`),
else the one value. `flush()` returns what a cut body still tells. Nothing raises on malformed input: what can be
read is read.
"""

import json
import re

import msgspec

from metering.budget import Budget
from metering.budget import Cost

SMALL = 64 * 1024
"""Bytes up to which a value is parsed whole, and may have members that are not wanted."""
LONGEST_TEXT = 1024
"""Bytes of a string that are kept: longer than every name and id, shorter than content."""
LONGEST_NUMBER = 64
"""Bytes; what is longer is no count."""
DEEPEST = 64
"""Nesting beyond this is skipped."""


class _Frame:
    """An open container that is being built."""

    __slots__ = ("container", "key")

    def __init__(self, container: dict[str, object] | list[object]) -> None:
        self.container = container
        self.key: str | None = None
        """In an object, the member whose value comes next."""


_BETWEEN = re.compile(rb"[\s,:]*+")
_IN_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


def _run(depth: int) -> bytes:
    """The pattern of whatever is whole: scalars, strings and containers, nested up to `depth`."""
    whole = rb'[^"{}\[\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"'
    return rb"(?:%b)*+" % (whole + rb"|[{\[]%b[}\]]" % _run(depth - 1) if depth else whole)


_SKIPPED = re.compile(_run(3), re.DOTALL)
_ELEMENT = re.compile(rb"\{%b\}" % _run(8), re.DOTALL)
_SCALAR = re.compile(rb'[^\s,:"{}\[\]]+')


class Cut(dict[str, object]):
    """What is known of an object whose end was cut off."""


class JsonScanner:
    def __init__(self, wanted: frozenset[str], budget: Budget | None = None) -> None:
        self._wanted = wanted
        self._budget = budget or Budget()
        self._stack: list[_Frame] = []
        self._skipping = 0
        """How many containers are open inside a value that is not wanted."""
        self._in_string = False
        self._text: bytearray | None = None
        """The string being read; None if it is not kept."""
        self._rest = b""
        """Bytes that cannot be told without the next ones: a cut escape or number."""

    def feed(self, data: bytes) -> list[object]:
        values: list[object] = []
        data = self._rest + data
        self._rest = b""
        pos = 0
        while pos < len(data):
            self._budget.spend(Cost.TOKEN)
            if self._in_string:
                pos = self._string(data, pos, values)
            elif self._skipping:
                pos = self._skip(data, pos)
            else:
                pos = self._token(data, pos, values)
        return values

    def flush(self) -> list[object]:
        """What is known of the value that the end cut off; a cut string or number is not known."""
        values: list[object] = []
        if not self._stack and (scalar := _scalar(self._rest)) is not None:
            values.append(scalar)
        while self._stack:
            self._close(values)
        return [Cut(value) if isinstance(value, dict) else value for value in values]

    def _string(self, data: bytes, pos: int, values: list[object]) -> int:
        end = data.find(b'"', pos)
        end = len(data) if end < 0 else end
        if (escape := data.find(b"\\", pos, end)) >= 0:
            match = _IN_STRING.match(data, escape)
            assert match
            end = match.end()
        if self._text is not None and len(self._text) <= LONGEST_TEXT:
            self._text += data[pos : min(end, pos + LONGEST_TEXT + 1)]
        if end == len(data):
            return end
        if data[end : end + 1] == b"\\":
            self._rest = data[end:]
            return len(data)
        self._in_string = False
        if not self._skipping:
            self._end_string(values)
        return end + 1

    def _end_string(self, values: list[object]) -> None:
        frame = self._stack[-1] if self._stack else None
        text = None if self._text is None else _text(self._text)
        self._text = None
        if frame and isinstance(frame.container, dict) and frame.key is None:
            frame.key = text
        else:
            self._add(text, values)

    def _skip(self, data: bytes, pos: int) -> int:
        match = _SKIPPED.match(data, pos)
        assert match
        end = match.end()
        self._budget.spend(Cost.SKIPPED_BYTE, end - pos)
        sign = data[end : end + 1]
        if sign == b'"':
            self._in_string = True
        elif sign == b"{" or sign == b"[":
            self._skipping += 1
        elif sign:
            self._skipping -= 1
            if not self._skipping:
                self._forget_key()
        return end + 1

    def _token(self, data: bytes, pos: int, values: list[object]) -> int:
        match = _BETWEEN.match(data, pos)
        assert match
        pos = match.end()
        sign = data[pos : pos + 1]
        if sign == b'"':
            self._in_string = True
            is_key = bool(self._stack) and isinstance(self._stack[-1].container, dict) and self._stack[-1].key is None
            self._text = bytearray() if is_key or self._is_wanted() else None
        elif sign == b"{" and len(self._stack) == 1 and (end := self._element(data, pos, values)):
            return end
        elif sign == b"{" or sign == b"[":
            if self._is_wanted() and len(self._stack) < DEEPEST:
                self._budget.spend(Cost.CONTAINER)
                self._stack.append(_Frame({} if sign == b"{" else []))
            else:
                self._skipping = 1
        elif sign == b"}" or sign == b"]":
            if self._stack:
                self._close(values)
        elif sign:
            scalar = _SCALAR.match(data, pos)
            assert scalar
            if scalar.end() == len(data):
                self._rest = data[pos : pos + LONGEST_TEXT]
                return len(data)
            self._budget.spend(Cost.TOKEN)
            self._add(_scalar(scalar.group()), values)
            return scalar.end()
        return pos + 1

    def _element(self, data: bytes, pos: int, values: list[object]) -> int | None:
        """Where a small element of the array at the top ends, which is whole and is parsed whole."""
        if not isinstance(self._stack[0].container, list):
            return None
        match = _ELEMENT.match(data, pos, pos + SMALL)
        self._budget.spend(Cost.SKIPPED_BYTE, (match.end() if match else len(data)) - pos)
        if not match:
            return None
        try:
            values.append(_parsed(match.group(), self._budget))
        except (ValueError, RecursionError):
            return None
        return match.end()

    def _is_wanted(self) -> bool:
        if not self._stack or isinstance(self._stack[-1].container, list):
            return True
        return self._stack[-1].key in self._wanted

    def _close(self, values: list[object]) -> None:
        container = self._stack.pop().container
        if self._stack or isinstance(container, dict):
            self._add(container, values)

    def _add(self, value: object, values: list[object]) -> None:
        if not self._stack:
            values.append(value)
        elif isinstance(self._stack[-1].container, dict):
            if self._is_wanted():
                self._stack[-1].container[str(self._stack[-1].key)] = value
            self._forget_key()
        elif len(self._stack) == 1:
            values.append(value)
        else:
            self._stack[-1].container.append(value)

    def _forget_key(self) -> None:
        if self._stack:
            self._stack[-1].key = None


class JsonDocument:
    """One value, such as the data of a server-sent event. What is not JSON comes back as bytes (`[DONE]`), of what is
    large and no object only the beginning: it may be sound, or subtitles."""

    def __init__(self, wanted: frozenset[str], budget: Budget | None = None) -> None:
        self._wanted = wanted
        self._budget = budget or Budget()
        self._small = bytearray()
        self._scanner: JsonScanner | None = None
        self._value: object = None

    def feed(self, data: bytes) -> None:
        if self._scanner:
            self._keep(self._scanner.feed(data))
            return
        if len(self._small) > SMALL:
            return
        self._small += data
        if len(self._small) > SMALL and self._is_object():
            self._scan()

    def close(self) -> object:
        if not self._scanner:
            if len(self._small) > SMALL:
                return bytes(self._small)
            try:
                return _parsed(self._small, self._budget)
            except (ValueError, RecursionError):
                self._budget.spend(Cost.EVENT)
                if not self._is_object():
                    return bytes(self._small)
            self._scan()
        assert self._scanner
        self._keep(self._scanner.flush())
        return self._value

    def _is_object(self) -> bool:
        return self._small.lstrip().startswith(b"{")

    def _scan(self) -> None:
        self._scanner = JsonScanner(self._wanted, self._budget)
        self._keep(self._scanner.feed(bytes(self._small)))
        self._small.clear()

    def _keep(self, values: list[object]) -> None:
        if self._value is None and values:
            self._value = values[0]


def whole(text: bytes, budget: Budget) -> object:
    """All of a JSON value, parsed. What is not JSON comes back as bytes. Raises TooMuchWork."""
    try:
        return _parsed(text, budget)
    except (ValueError, RecursionError):
        return text


class JsonBody:
    """The body of an HTTP message: a value, or an array whose elements are events."""

    def __init__(self, wanted: frozenset[str], budget: Budget | None = None) -> None:
        self._wanted = wanted
        self._budget = budget or Budget()
        self._array: JsonScanner | None = None
        self._document: JsonDocument | None = None

    def feed(self, data: bytes) -> list[object]:
        if not self._array and not self._document:
            data = data.lstrip()
            if data.startswith(b"["):
                self._array = JsonScanner(self._wanted, self._budget)
            elif data:
                self._document = JsonDocument(self._wanted, self._budget)
        if self._array:
            return self._array.feed(data)
        if self._document:
            self._document.feed(data)
        return []

    def flush(self) -> list[object]:
        if self._array:
            return self._array.flush()
        return [self._document.close()] if self._document else []


def _parsed(text: bytes | bytearray, budget: Budget) -> object:
    budget.spend(Cost.CONTAINER, text.count(b"{") + text.count(b"["))
    return parse_json(text)


def parse_json(text: bytes | bytearray) -> object:
    """JSON, also where it is less strict than the standard: NaN, or half of a surrogate pair. Raises ValueError,
    RecursionError."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return json.loads(text)


_DECODER = msgspec.json.Decoder()
"""Five times as fast as `json`, but for what it refuses."""


def _scalar(text: bytes) -> object:
    if len(text) > LONGEST_NUMBER:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _text(raw: bytearray) -> str:
    if len(raw) <= LONGEST_TEXT and b"\\" in raw:
        try:
            return str(json.loads(b'"%b"' % bytes(raw)))
        except ValueError:
            pass
    return raw[:LONGEST_TEXT].decode("utf-8", "replace")
