"""The hosts of the four APIs: which API a host serves, and which host serves a location."""

import re
from functools import lru_cache

from metering.templates import Api

GEMINI_HOST = "generativelanguage.googleapis.com"

_PUBLIC = r"(?:[a-z0-9-]+-)?aiplatform\.googleapis\.com|aiplatform\.(?:us|eu)\.rep\.googleapis\.com"
_PSC = r"[a-z][a-z0-9]{0,19}\.p\.googleapis\.com"
"""The end of a name of Private Service Connect: that of the endpoint, which has up to 20 letters and digits."""
_REP = r"\.[a-z0-9-]+(?:\.p)?\.rep(?:\.mtls)?(?:\.sandbox)?\.googleapis\.com"

HOSTS: tuple[tuple[Api, str], ...] = (
    # us-central1-aiplatform.googleapis.com
    ("vertex", _PUBLIC),
    # aiplatform.mtls.googleapis.com: `mtlsRootUrl` of the discovery document
    ("vertex", r"(?:[a-z0-9-]+-)?aiplatform\.mtls\.googleapis\.com"),
    # aiplatform.us-central1.p.rep.googleapis.com: cloud.google.com/vpc/docs/regional-service-endpoints, and `endpoints`
    # of the discovery document
    ("vertex", rf"aiplatform(?:-[a-z]+)?{_REP}"),
    # aiplatform-genai1.p.googleapis.com: cloud.google.com/vertex-ai/docs/general/googleapi-access-methods
    ("vertex", rf"(?:[a-z0-9-]+-)?aiplatform-{_PSC}"),
    # us-central1-autopush-aiplatform.sandbox.googleapis.com: Google's own tests; `to_mtls_url` of google-genai
    ("vertex", r"(?:[a-z0-9-]+-)?aiplatform(?:\.mtls)?\.sandbox\.googleapis\.com"),
    # 7.us-central1-1.prediction.vertexai.goog: `dedicatedEndpointDns` of an endpoint; with `.p` by Private Service
    # Connect
    ("vertex", r"(?:[a-z0-9-]+\.)+prediction(?:\.p)?\.vertexai\.goog"),
    # 1234567890.aiplatform.googleapis.com: `predictHttpUri` of a deployed model
    ("vertex", r"\d+\.aiplatform\.googleapis\.com"),
    ("gemini", r"generativelanguage(?:\.mtls)?\.googleapis\.com"),
    ("gemini", rf"generativelanguage{_REP}"),
    ("gemini", rf"generativelanguage-{_PSC}"),
    ("gemini", r"(?:[a-z0-9-]+-)?generativelanguage(?:\.mtls)?\.sandbox\.googleapis\.com"),
    # eu.api.openai.com: developers.openai.com/api/docs/guides/data-residency
    ("openai", r"(?:[a-z]{2}\.)?api\.openai\.com"),
    # api.anthropic.com: docs.anthropic.com/en/api/overview
    ("anthropic", r"api\.anthropic\.com"),
)
"""API -> pattern of a host's whole name. Azure's OpenAI hosts are not among them: their paths and keys are Azure's
own."""

DOORS = frozenset({"private.googleapis.com", "restricted.googleapis.com"})
"""Hosts that serve all of Google's APIs, for networks without internet access. The name in TLS or in the header Host
tells which one: cloud.google.com/vpc/docs/configure-private-google-access."""

_COMPILED = tuple((api, re.compile(pattern)) for api, pattern in HOSTS)
_BY_LOCATION = re.compile(rf"{_PUBLIC}|{re.escape(GEMINI_HOST)}")
_LOCATION = re.compile(r"[a-z][a-z0-9-]{0,40}")


@lru_cache(maxsize=1024)
def api_of(host: str) -> Api | None:
    """The API that a host serves; None for an unknown host."""
    host = _plain(host)
    return next((api for api, pattern in _COMPILED if pattern.fullmatch(host)), None)


def is_door(host: str) -> bool:
    """Whether the host is one of `DOORS`."""
    return _plain(host) in DOORS


def is_by_location(host: str) -> bool:
    """Whether the host is one of Google's public ones, of which each location has its own. All others, such as those of
    Private Service Connect, are chosen by the user's network, and are the only way."""
    return _BY_LOCATION.fullmatch(_plain(host)) is not None


def vertex_host(location: str | None) -> str:
    """The host of Vertex AI for a location; None is `global`. Raises ValueError if `location` cannot be part of a host
    name.

    The hosts of regions, `global` and multi-regions are as google-genai 3.4.0 builds them. "global-aiplatform" does not
    exist: it answers 404 with HTML.
    """
    if location is None or location == "global":
        return "aiplatform.googleapis.com"
    if not _LOCATION.fullmatch(location):
        raise ValueError(f"not a Google Cloud location: {location!r}")
    if location in ("us", "eu"):
        return f"aiplatform.{location}.rep.googleapis.com"
    return f"{location}-aiplatform.googleapis.com"


def _plain(host: str) -> str:
    return host.lower().removesuffix(".")
