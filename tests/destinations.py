"""The expected destination of each call with a client's credential: all combinations of credential, place of the
credential in the request, path, and target of the proxy.

The expectations are written by hand after docs/credentials.md. They do not use the tables in `addons/keys.py`.
"""

import base64
import json
from collections.abc import Iterator
from typing import NamedTuple

Fields = list[tuple[str, str]]


def jwt(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{payload}.signature"


CREDENTIALS = {
    "AIza...": ("google", "AIzaSyD-MaRk000000000000000000000000000"),
    "AQ....": ("google", "AQ.Ab8MaRk-0000000000000000"),
    "ya29....": ("google", "ya29.c.MaRk0000000000000000"),
    "JWT of Google": ("google", jwt(iss="https://accounts.google.com", sub="1", aud="MaRk")),
    "JWT for Google": ("google", jwt(iss="MaRk@p.iam.gserviceaccount.com", aud="https://aiplatform.googleapis.com/")),
    "JWT of another": ("any", jwt(iss="https://login.example", aud="MaRk")),
    "sk-...": ("sk", "sk-proj-MaRk000000000000000000"),
    "sk-ant-...": ("anthropic", "sk-ant-api03-MaRk0000000000000"),
    "any other": ("any", "MaRk-0000-1111"),
}
"""Kind of credential -> its owner, and an example."""


class Place(NamedTuple):
    headers: tuple[tuple[str, str], ...] = ()
    query: str = ""
    is_googles: bool = False
    """Whether every credential in this place counts as Google's."""


PLACES = {
    "authorization: Bearer": Place((("authorization", "Bearer {}"),)),
    "authorization: bearer": Place((("Authorization", "bearer {}"),)),
    "authorization": Place((("authorization", "{}"),)),
    "x-goog-api-key": Place((("x-goog-api-key", "{}"),), is_googles=True),
    "x-api-key": Place((("x-api-key", "{}"),)),
    "api-key": Place((("api-key", "{}"),)),
    "?key=": Place(query="alt=sse&key={}", is_googles=True),
    "?k%65y=": Place(query="k%65y={}", is_googles=True),
    "?access_token=": Place(query="access_token={}"),
    "x-team-token": Place((("x-team-token", "{}"),)),
    "twice": Place((("authorization", "Bearer x"), ("authorization", "Bearer {}"))),
}

PATHS = {
    # Paths that Google's SDKs, the AI SDK and LiteLLM send, with every api_version.
    "/v1/projects/p/locations/us-central1/publishers/google/models/g:generateContent": "us-central1",
    "/v1beta1/projects/p/locations/global/publishers/google/models/g:streamGenerateContent": "vertex",
    "/projects/p/locations/eu/publishers/google/models/g:generateContent": "eu",
    "/v1beta1/publishers/google/models/g:generateContent": "vertex",
    "/v1/publishers/google/models/g:countTokens": "vertex",
    "/publishers/google/models/g:generateContent": "vertex",
    "/v1/publishers/anthropic/models/c:rawPredict": "vertex",
    "/v1/projects/p/locations/us-central1/endpoints/openapi/chat/completions": "us-central1",
    "/v1beta/models/g:generateContent": "gemini",
    "/v1/models/g:generateContent": "gemini",
    "/v1alpha/models/g:streamGenerateContent": "gemini",
    "/v2/models/g:generateContent": "gemini",
    "/v1beta/models/g%3AgenerateContent": "gemini",
    "/v1beta/cachedContents": "gemini",
    "/v1beta/..%2fv1/models": "gemini",
    "/v1beta/openai/chat/completions": "gemini",
    "/models/g:generateContent": "gemini of the target",
    "/models/g%3AembedContent": "gemini of the target",
    "/models/text-embedding-005:predict": "gemini of the target",
    "/cachedContents": "gemini of the target",
    # Paths that both the Gemini API and OpenAI have.
    "/v1/models": "shared",
    "/v1/files": "shared",
    "/models": "shared of the target",
    "GET /v1/models/gemini-2.5-flash": "shared",
    "GET /models/gemini-2.5-flash": "shared of the target",
    "GET /v1/files/abc": "shared",
    "GET /files": "shared of the target",
    # Paths of OpenAI, of Anthropic, and unknown ones.
    "/v1/chat/completions": "openai",
    "/v1/responses": "openai",
    "/v1/images/generations": "openai",
    "/chat/completions": "openai",
    "/v1/messages": "anthropic",
    "/v1/messages/count_tokens": "anthropic",
    "/v1/nobodys": "unknown",
    "/nobodys": "unknown",
    "//models/g:generateContent": "unknown",
}
"""Path, with its method if that is not POST -> what answers it: a location of Vertex AI, or an API."""

VERTEX = "aiplatform.googleapis.com"
GEMINI = "generativelanguage.googleapis.com"
OPENAI = "api.openai.com"
OWN = "own.example"
ENDPOINT = "vertex.example"
LLM = "llm.example"


class Target(NamedTuple):
    reverse: str
    vertex_endpoint: str = ""
    openai_endpoint: str = ""

    @property
    def options(self) -> dict[str, str]:
        options = {}
        if self.vertex_endpoint:
            options["vertex_endpoint"] = f"https://{self.vertex_endpoint}"
        if self.openai_endpoint:
            options["openai_endpoint"] = f"https://{self.openai_endpoint}/v1"
        return options


TARGETS = {
    "Vertex AI": Target(VERTEX),
    "the Gemini API": Target(GEMINI),
    "a host of one's own": Target(OWN),
    "Vertex AI, two endpoints": Target(VERTEX, ENDPOINT, LLM),
    "one's own, openai_endpoint": Target(OWN, "", LLM),
    "Vertex AI, openai_endpoint of Google": Target(VERTEX, "", GEMINI),
}


class Case(NamedTuple):
    target: Target
    path: str
    credential: str
    """A key of CREDENTIALS; empty for a call without a credential."""
    place: str

    @property
    def method(self) -> str:
        return "GET" if self.path.startswith("GET ") else "POST"

    @property
    def url(self) -> str:
        query = PLACES[self.place].query.format(self.value) if self.credential else ""
        return self.path.removeprefix("GET ") + "?" * bool(query) + query

    @property
    def headers(self) -> Fields:
        given = PLACES[self.place].headers if self.credential else ()
        return [(name, text.format(self.value)) for name, text in given]

    @property
    def value(self) -> str:
        return CREDENTIALS[self.credential][1] if self.credential else ""

    @property
    def owners(self) -> set[str]:
        """The owners of the credential, by its form and by its place."""
        if not self.credential:
            return set()
        return {CREDENTIALS[self.credential][0]} | ({"google"} if PLACES[self.place].is_googles else set())

    def arrives_as(self, url: str) -> bool:
        """Whether this is the URL, without its host, that the upstream should get."""
        # The path of `openai_endpoint` replaces OpenAI's `/v1`, even if the client leaves that out.
        is_openais = self._host() in (OPENAI, self.target.openai_endpoint)
        return url == self.url or (is_openais and url == f"/v1{self.url}")

    @property
    def expected(self) -> str | None:
        """The host that gets the call with the unchanged credential; None if the call is refused."""
        host = self._host()
        if host is None:
            return None
        is_googles = host.endswith(".googleapis.com")
        named = {self.target.reverse, self.target.vertex_endpoint}
        if "google" in self.owners and not (is_googles or host in named):
            return None
        if self.owners & {"sk", "anthropic"} and is_googles:
            return None
        if "anthropic" in self.owners and host == OPENAI:
            return None
        return host

    def _host(self) -> str | None:
        """The host that answers, regardless of whether it may see the credential; None if there is none."""
        target, api = self.target, PATHS[self.path]
        if api.startswith("shared"):
            api = api.replace("shared", "gemini") if "google" in self.owners else "openai"
        if api == "openai":
            return target.openai_endpoint or (OPENAI if target.reverse != OWN else OWN)
        if api == "anthropic":
            return OWN if target.reverse == OWN else None
        if api in ("vertex", "us-central1", "eu"):
            return target.vertex_endpoint or (_LOCATIONS[api] if target.reverse != OWN else OWN)
        if target.reverse == OWN or api in ("unknown", "gemini of the target"):
            return target.reverse
        return GEMINI


_LOCATIONS = {
    "vertex": VERTEX,
    "us-central1": "us-central1-aiplatform.googleapis.com",
    "eu": "aiplatform.eu.rep.googleapis.com",
}


def cases(target: Target) -> Iterator[Case]:
    """All cases with this target."""
    for path in PATHS:
        yield Case(target, path, "", "x-api-key")
        for credential in CREDENTIALS:
            for place in PLACES:
                yield Case(target, path, credential, place)


SHOWN = {
    "Vertex AI": "`reverse:https://aiplatform.googleapis.com`",
    "a host of one's own": "`reverse:https://own.example`",
    "Vertex AI, two endpoints": "`reverse:https://aiplatform.googleapis.com`,"
    " `vertex_endpoint=https://vertex.example` and `openai_endpoint=https://llm.example/v1`",
}
COLUMNS = ("", "AIza...", "sk-...", "sk-ant-...", "any other")


def page() -> str:
    """The tables of docs/credentials.md: for a target, each path and each credential in `authorization`, the host that
    gets it."""
    lines = []
    for name, told in SHOWN.items():
        lines += [f"With {told}:", "", f"| path | none | {' | '.join(f'`{name}`' for name in COLUMNS[1:])} |"]
        lines += ["|---" * (len(COLUMNS) + 1) + "|"]
        for path in PATHS:
            hosts = [Case(TARGETS[name], path, column, "authorization: Bearer").expected for column in COLUMNS]
            lines.append(f"| `{path}` | {' | '.join(host or 'refused' for host in hosts)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(page())
