"""Forms with files in them: multipart/form-data (RFC 7578), read and written."""

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from multipart import MultipartError
from multipart import MultipartSegment
from multipart import PushMultipartParser
from multipart import content_disposition_quote
from multipart import parse_options_header

from addons.translation.errors import InvalidRequest

MOST_FIELDS = 128
LONGEST_TYPE = 256
"""The most characters of a content-type that is parsed. A boundary has 70 at most (RFC 2046, 5.1.1)."""


@dataclass(slots=True)
class FormFile:
    data: bytes
    name: str
    mime_type: str | None = None
    """The media type that the client gave, in lower case, without parameters. None: it gave none."""


Field = tuple[str, str | FormFile]
"""Name and value of a form field. The value is a file if it has a file name, or a media type other than text/*."""


def is_form(content_type: str) -> bool:
    return content_type.lower().startswith("multipart/")


def read(content_type: str, raw: bytes) -> list[Field]:
    """The fields of a form body, in order. Raises InvalidRequest if it is no valid form."""
    _, options = parse_options_header(content_type) if len(content_type) <= LONGEST_TYPE else ("", {})
    fields: list[Field] = []
    try:
        with PushMultipartParser(options.get("boundary", ""), max_segment_count=MOST_FIELDS) as parser:
            segment: MultipartSegment | None = None
            chunks: list[bytes] = []
            # The body is parsed as one chunk: so each value is copied once only.
            for event in parser.parse(raw):
                if isinstance(event, MultipartSegment):
                    segment, chunks = event, []
                elif event is not None:
                    chunks.append(event)
                elif segment is not None:
                    fields.append((segment.name or "", _value(segment, chunks)))
    except MultipartError as e:
        raise InvalidRequest(f"the body is not valid multipart/form-data: {e}") from None
    return fields


def _value(segment: MultipartSegment, chunks: list[bytes]) -> str | FormFile:
    data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    mime_type = segment.content_type
    if segment.filename is None and (mime_type is None or mime_type.startswith("text/")):
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise InvalidRequest("this form field must be UTF-8 text", segment.name) from None
    return FormFile(data, segment.filename or "", mime_type)


_MEMBER = re.compile(r"(\w+)\[(\w+)\]")


def body_of(fields: Iterable[Field]) -> dict[str, object]:
    """The form as a JSON object. A field named `image[]`, or a repeated name, becomes a list. `a[b]` becomes the member
    `b` of the object `a`; if a plain field `a` comes before it, `a[b]` is ignored."""
    body: dict[str, object] = {}
    for name, value in fields:
        member = _MEMBER.fullmatch(name)
        within = body.setdefault(member[1], {}) if member else body
        if isinstance(within, dict):
            _put(within, member[2] if member else name, value)
    return body


def _put(body: dict[str, object], name: str, value: str | FormFile) -> None:
    bare = name.removesuffix("[]")
    if bare in body:
        earlier = body[bare]
        body[bare] = [*earlier, value] if isinstance(earlier, list) else [earlier, value]
    else:
        body[bare] = [value] if bare != name else value


def write(fields: Iterable[Field]) -> tuple[str, bytes]:
    """A form with these fields: its content-type, and its body."""
    boundary = uuid.uuid4().hex
    pieces: list[bytes] = []
    for name, value in fields:
        head = f"--{boundary}\r\nContent-Disposition: form-data; name={content_disposition_quote(name)}"
        if isinstance(value, FormFile):
            head += f"; filename={content_disposition_quote(value.name)}"
            head += f"\r\nContent-Type: {value.mime_type or 'application/octet-stream'}"
        pieces += [head.encode(), b"\r\n\r\n", value.data if isinstance(value, FormFile) else value.encode(), b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces)
