"""Which publisher's model a client names, and the path at which Vertex AI serves it.

Source: Google's pages on partner and open models; reference paths of aiplatform v1.
"""

import re
from typing import NamedTuple

from addons.translation.errors import InvalidRequest
from metering.request import PREFIXES

PUBLISHERS = {
    r"claude": "anthropic",
    r"(?:mistral|ministral|codestral|pixtral|magistral|devstral)": "mistralai",
    r"jamba": "ai21",
    r"(?:meta-)?llama": "meta",
    r"deepseek": "deepseek-ai",
    r"qwen": "qwen",
    r"gpt-oss": "openai",
    r"minimax": "minimaxai",
    r"kimi": "moonshotai",
    r"glm": "zai-org",
    r"gemma": "google",
    r"grok": "xai",
}
"""How the name of a model begins, as a regular expression -> its publisher. Gemini, Imagen and the like are not here.
All but Claude use OpenAI's dialect."""
RAW_PUBLISHERS = frozenset({"mistralai", "ai21"})
"""Publishers whose models speak OpenAI's dialect at their own path (`:rawPredict`). The other publishers' models are
called at Vertex AI's OpenAI endpoint."""
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,127}")
_PUBLISHER = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_WRITE = "this is not the name of a model; write one such as gemini-2.5-flash or meta/llama-4-scout-maas"


class ServedModel(NamedTuple):
    """A model, by the name that the service knows."""

    name: str
    publisher: str | None = None
    """None for Google's own models, and for endpoints of the project, whose name is a number."""

    @property
    def is_endpoint(self) -> bool:
        return self.publisher is None and self.name.isdecimal()

    def resource(self, action: str) -> str:
        """The path of an action of the model's own, below a location."""
        if self.is_endpoint:
            return f"endpoints/{self.name}:{action}"
        return f"publishers/{self.publisher or 'google'}/models/{self.name}:{action}"


def without_publisher(text: str) -> str:
    """A model's name without the prefixes that other gateways put before names of Google's models."""
    while prefix := next((prefix for prefix in PREFIXES if text.startswith(prefix)), None):
        text = text.removeprefix(prefix)
    return text


def model_of(text: str) -> ServedModel:
    """The model that an OpenAI client names with `text`, such as `meta/llama-4-scout-maas`. Raises InvalidRequest if it
    cannot be a segment of a path."""
    name = without_publisher(text)
    publisher, slash, rest = name.removeprefix("publishers/").replace("/models/", "/").partition("/")
    if slash and publisher == "endpoints" and rest.isdecimal() and rest.isascii():
        return ServedModel(rest)
    if slash:
        if not _PUBLISHER.fullmatch(publisher) or not _MODEL.fullmatch(rest):
            raise InvalidRequest(_WRITE, "model")
        return ServedModel(rest, publisher)
    if not _MODEL.fullmatch(name):
        raise InvalidRequest(_WRITE, "model")
    publishers = (publisher for beginning, publisher in PUBLISHERS.items() if re.match(beginning, name))
    return ServedModel(name, next(publishers, None))
