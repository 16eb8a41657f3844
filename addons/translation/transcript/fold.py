"""JSON as people read it: indented, with base64 folded to its type and size, such as `<image/png, 48 kB>`."""

import json
import re

LEAST = 256
"""Characters of the shortest text that is folded."""
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.=-]+)*;base64,")
_TYPES = ("mimeType", "mime_type", "media_type")
"""Members that name the type of the data beside them, in Google's dialect and Anthropic's."""


def folded_json(value: object) -> str:
    """A JSON value, indented."""
    return json.dumps(folded(value), ensure_ascii=False, indent=2)


def compact_json(value: object) -> str:
    """A JSON value in one line."""
    return json.dumps(folded(value), ensure_ascii=False)


def folded(value: object, kind: str | None = None) -> object:
    """A JSON value whose base64 is folded. `kind` is the type of what it is, if that is known. Raises RecursionError
    if it is nested too deep."""
    if isinstance(value, str):
        return _text(value, kind)
    if isinstance(value, list):
        return [folded(one) for one in value]
    if isinstance(value, dict):
        told = next((name for name in _TYPES if isinstance(value.get(name), str)), None)
        return {name: folded(one, value[told] if told else None) for name, one in value.items()}
    return value


def _text(text: str, kind: str | None) -> str:
    if len(text) < LEAST:
        return text
    if url := _DATA_URL.match(text):
        return data_in_words(url[1] or "text/plain", text[url.end() :])
    return data_in_words(kind or "base64", text) if _BASE64.fullmatch(text) else text


def data_in_words(kind: str, base64: str) -> str:
    """Data in base64, in words: `<image/png, 48 kB>`."""
    return f"<{kind}, {size_in_words(len(base64.rstrip('=')) * 3 // 4)}>"


def size_in_words(size: int) -> str:
    """A number of bytes: `48 kB`."""
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1000:.0f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"
