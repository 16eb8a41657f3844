"""Media in requests: data URLs, base64, http(s) and gs:// URLs, and media types, which Google does not guess."""

import base64
import re
from urllib.parse import unquote_to_bytes
from urllib.parse import urlsplit

from addons.translation.conversation import Media
from addons.translation.errors import InvalidRequest

MIME_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "bmp": "image/bmp",
    "flv": "video/x-flv",
    "mov": "video/quicktime",
    "mpeg": "video/mpeg",
    "mpegs": "video/mpegs",
    "mpg": "video/mpg",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "wmv": "video/wmv",
    "3gp": "video/3gpp",
    "3gpp": "video/3gpp",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "aiff": "audio/aiff",
    "m4a": "audio/m4a",
    "pcm": "audio/pcm",
    "pcm16": "audio/pcm",
    "pdf": "application/pdf",
    "json": "application/json",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "xml": "text/xml",
}
"""File extensions and format names -> media types that Gemini takes."""

AUDIO_TYPES = {"mp4": "audio/mp4", "webm": "audio/webm", "mpeg": "audio/mpeg"}
"""Names of formats that may hold audio or video -> their media types for audio."""

IMAGE_FORMATS = {"image/png": "png", "image/jpeg": "jpeg", "image/webp": "webp", "image/gif": "gif"}
"""Media types -> OpenAI's names of image formats."""
_SIGNATURES = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
    b"GIF8": "image/gif",
}
"""The first bytes of image files -> media types."""

_SAME = {"image/jpg": "image/jpeg"}
_TYPE = re.compile(r"[a-zA-Z0-9][\w.+-]*/[\w.+-]+(?:;\s*[\w.+-]+=[\w.+:-]+)*")
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_STANDARD = bytes.maketrans(b"-_", b"+/")
_DATA_URL = re.compile(r"data:([^,]{0,256}),", re.IGNORECASE)


def mime_type_of(name: str, table: dict[str, str] = MIME_TYPES) -> str | None:
    """The media type, as Google spells it, of a format name or a media type: `image/png` for `png` or `image/png`. None
    for an unknown name."""
    name = name.strip().lower()
    if _TYPE.fullmatch(name):
        return _SAME.get(name, name)
    return table.get(name.lstrip(".")) or MIME_TYPES.get(name.lstrip("."))


def from_url(url: str, said: str | None, param: str) -> Media | None:
    """The media at a data:, http(s):// or gs:// URL. `said` is the media type that the client gives beside the URL.
    None if neither `said` nor the URL tells the type. Raises InvalidRequest for any other URL, and for invalid data."""
    if match := _DATA_URL.match(url):
        return _from_data_url(match[1], url[match.end() :], said, param)
    scheme = url[:8].partition("://")[0].lower()
    if scheme not in ("http", "https", "gs") or not url.partition("://")[2].strip("/"):
        raise InvalidRequest("write a data:, http(s):// or gs:// URL", param)
    if mime_type := (mime_type_of(said) if said else type_by_name(_path(url, param))):
        return Media(mime_type, uri=url)
    return None


def type_by_name(path: str) -> str | None:
    """The media type by the extension of a file name or of a URL's path. None if it is unknown."""
    _, dot, extension = path.rpartition("/")[2].rpartition(".")
    return MIME_TYPES.get(extension.lower()) if dot else None


def image_type(data: bytes) -> str | None:
    """The media type of an image, by its first bytes. None if they are not those of a known format."""
    return next((mime_type for start, mime_type in _SIGNATURES.items() if data.startswith(start)), None)


def base64_of(text: str, param: str) -> str:
    """`text` as base64 that Google takes: in the standard alphabet, padded, without white space. Raises InvalidRequest
    if it is no base64, or empty."""
    try:
        raw = text.encode("ascii")
    except UnicodeEncodeError:
        raise InvalidRequest("this is not valid base64", param) from None
    body = raw.rstrip(b"=")
    if body.translate(None, _ALPHABET):
        # Rare: white space, or the URL-safe alphabet.
        body = raw.translate(_STANDARD, b" \t\r\n").rstrip(b"=")
        if body.translate(None, _ALPHABET):
            raise InvalidRequest("this is not valid base64", param)
    if len(body) % 4 == 1 or not body:
        raise InvalidRequest("this base64 is incomplete" if body else "the data is empty", param)
    padded = body + b"=" * (-len(body) % 4)
    return text if padded == raw else padded.decode("ascii")


def _from_data_url(head: str, data: str, said: str | None, param: str) -> Media | None:
    head, _, coding = head.rpartition(";") if head.lower().endswith(";base64") else (head, "", "")
    mime_type = mime_type_of(said) if said else mime_type_of(head)
    encoded = base64_of(data, param) if coding else base64.b64encode(unquote_to_bytes(data)).decode("ascii")
    if not encoded:
        raise InvalidRequest("the data is empty", param)
    return Media(mime_type or "", data=encoded)


def _path(url: str, param: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        raise InvalidRequest("this is not a valid URL", param) from None
