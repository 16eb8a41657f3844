"""The URL paths of Vertex AI, the Gemini API, OpenAI and Anthropic (`parse`, `build`). The tables in `templates.py`
serve both directions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from functools import cache
from functools import lru_cache
from urllib.parse import quote
from urllib.parse import unquote

from metering.templates import KINDS
from metering.templates import METHODS
from metering.templates import OPENAI_WORDS
from metering.templates import POSTED
from metering.templates import PUBLISHER_ALIASES
from metering.templates import SINGLETONS
from metering.templates import SPANNING
from metering.templates import TEMPLATES
from metering.templates import VERBS
from metering.templates import Api


@dataclass(frozen=True, slots=True)
class Target:
    """What a path asks for: `surface` and `operation` as in the ledger, and the `path` of the template that matched."""

    api: Api
    surface: str
    operation: str | None
    template: str
    base: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    """The template's fields, percent-decoded, without those that the path leaves out."""

    @property
    def publisher(self) -> str | None:
        """The publisher of the model, by Google's name; None if the path names none."""
        publisher = self.fields.get("publisher")
        return PUBLISHER_ALIASES.get(publisher, publisher) if publisher else None


def parse(method: str, path: str, api: Api | None = None) -> Target | None:
    """Parse a path (without its query); None if no template matches. `api` restricts the search to one API's
    templates."""
    return _parse(method, path, api) if len(path) <= LONGEST_PATH else None


LONGEST_PATH = 1024
"""The most characters of a path that is parsed. No resource has a longer path, and matching takes quadratic time."""


def build(template: str, base: str = "", **fields: str) -> str:
    """The path that results from putting `fields` into `template`. Optional parts with missing fields are left out.
    Raises KeyError for any other missing field."""

    def fill(match: re.Match[str]) -> str:
        if option := match["option"]:
            names = _FIELD.findall(option)
            return _TOKEN.sub(fill, option) if all(name in fields for name, _ in names) else ""
        safe = "/@:" if match["kind"] in SPANNING else "@:"
        return quote(fields[match["name"]], safe=safe)

    return base + _TOKEN.sub(fill, template)


_FIELD = re.compile(r"\{(\w+)(?::(\w+))?\}")
_TOKEN = re.compile(r"\[(?P<option>[^\]]*)\]|\{(?P<name>\w+)(?::(?P<kind>\w+))?\}")


@cache
def _compiled(template: str, anywhere: bool) -> re.Pattern[str]:
    def token(match: re.Match[str]) -> str:
        if option := match["option"]:
            return f"(?:{_regex(option)})?"
        kind = match["kind"] or ("version" if match["name"] == "version" else "")
        return f"(?P<{match['name']}>{KINDS[kind]})"

    def _regex(part: str) -> str:
        out, end = "", 0
        for match in _TOKEN.finditer(part):
            out += _literal(part[end : match.start()]) + token(match)
            end = match.end()
        return out + _literal(part[end:])

    # A base path must not contain these, or it could swallow a part of a project's path.
    base = r"(?:/(?!projects/|locations/)[^/?#]+)*?" if anywhere else ""
    return re.compile(rf"(?P<base>{base})" + _regex(template))


def _literal(text: str) -> str:
    """A pattern for fixed text of a template. Some clients send `%3A` for the colon before a verb, and the client of
    vertexai puts a slash before it: `/locations/us-central1/:askContexts`."""
    return re.escape(text).replace(":", "/?(?::|%3[Aa])")


@lru_cache(maxsize=1024)
def _parse(method: str, path: str, api: Api | None) -> Target | None:
    for template in TEMPLATES:
        if api not in (None, template.api) or template.method not in (None, method):
            continue
        if match := _compiled(template.path, template.anywhere).fullmatch(path):
            fields = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
            base = fields.pop("base")
            operation = _operation(method, template.operation, fields)
            return Target(template.api, template.surface, operation, template.path, base, fields)
    return None


def _operation(method: str, operation: str, fields: dict[str, str]) -> str | None:
    """The operation; None if it is unknown, or if the path asks for nothing with this method."""
    is_posted = operation in POSTED or "rpc_service" in fields
    if not operation or method not in METHODS or (is_posted and method != "POST"):
        return None
    operation = operation.format_map(fields)
    if operation.endswith("."):
        named = "id" in fields or ("model" in fields and operation == "models.")
        verb = fields.get("verb") or VERBS.get((method, named))
        is_single = verb == "list" and operation.removesuffix(".") in SINGLETONS
        return operation + ("get" if is_single else verb) if verb else None
    if "openai" in fields:
        return "/".join(part for part in operation.split("/") if part in OPENAI_WORDS)
    if "rpc_service" in fields:
        return operation[0].lower() + operation[1:]
    return operation
