"""Checks of single values from options, the YAML file or request paths.

Each function takes text and returns the parsed value. For an invalid one it raises ValueError with a message that says
what to write instead, such as `write a URL such as https://example.com/v1`.
"""

import os
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from metering.hosts import vertex_host


def text(value: object) -> str:
    """Check that a value of the YAML file is a text, and no list or mapping. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("write text")
    return value


def switch(text: str) -> bool:
    """Parse `true` or `false`. Raises ValueError."""
    if not isinstance(text, str) or text.lower() not in ("true", "false"):
        raise ValueError("write true or false")
    return text.lower() == "true"


class Endpoint(NamedTuple):
    """The base URL of an API, such as `https://example.com/v1`."""

    scheme: str
    host: str
    port: int
    path: str
    """Without a trailing slash; empty for the root."""


def endpoint(text: str) -> Endpoint:
    """Parse the base URL of an API. Raises ValueError."""
    url = urlsplit(text)
    try:
        port = url.port
    except ValueError:
        port = -1
    host = url.hostname or ""
    if url.scheme not in ("http", "https") or not _HOST.fullmatch(host) or port == -1:
        raise ValueError("write a URL such as https://example.com/v1")
    if url.query or url.fragment or url.username is not None:
        raise ValueError("write a URL without user, query and fragment")
    return Endpoint(url.scheme, host, port or {"http": 80, "https": 443}[url.scheme], url.path.rstrip("/"))


_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_PROJECT = re.compile(r"(?:[a-z][a-z0-9.-]{1,61}:)?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def project(text: str) -> str:
    """Check the id or number of a Google Cloud project, which becomes part of a path. Raises ValueError."""
    if not _PROJECT.fullmatch(text):
        raise ValueError("write the id of a Google Cloud project, such as my-project-123")
    return text


def location(text: str) -> str:
    """Check a location of Vertex AI, which becomes part of a host name. Raises ValueError."""
    try:
        vertex_host(text)
    except ValueError:
        raise ValueError("write a location of Vertex AI, such as global or us-central1") from None
    return text


def api_key(text: str) -> str:
    """Check an API key, which becomes part of a header. Raises ValueError, which does not quote the key."""
    if not re.fullmatch(r"[!-~]*", text):
        raise ValueError("contains a character that no API key has, such as a space or a line break; copy it again")
    return text


NO_VARIABLE = "the environment has no such variable, or it is empty; write the name of one that holds a key"


def environment_key(name: str) -> str:
    """The API key in an environment variable. Raises ValueError, which quotes neither: the user may have written the
    key in place of the name."""
    if not (value := os.environ.get(name)):
        raise ValueError(NO_VARIABLE)
    return api_key(value)
