"""The application or SDK that made a call, by what its headers call it: the column `sdk`.

A header such as `google-genai-sdk/1.50.1 gl-python/3.11 pydantic-ai/1.2.0` lists products. The application is the first
of them that is not a library.
"""

import re
from collections.abc import Iterator
from collections.abc import Mapping

AI_SDK = "ai-sdk"
AI_SDKS_PRODUCTS = r"ai|ai-sdk(?:[-/].+)?"
"""Products of Vercel's AI SDK. Whole answers name `ai`, streams the provider's package such as `ai-sdk-openai`, and an
application that puts its own name there neither."""
AI_SDKS_COMMON = r"ai-sdk[-/]provider-utils"
"""The product of the AI SDK that all of its calls name: its version is the one that is the same for all."""

SDKS = ("google-genai-sdk", "genai-js", "genai-py")
"""Google's SDKs, which may be named behind what they are made with."""

EDITIONS = (
    # pattern, name in the ledger: `GeminiCLI-tui/0.44.1` is the same application
    (r"geminicli-.+", "geminicli"),
)
"""Names of editions of an application -> its one name in the ledger."""

LIBRARIES = (
    # SDKs
    r"google-genai-sdk|genai-(?:js|py)|openai|anthropic|model-builder|vertex-genai-modules|mcp_used"
    r"|google-(?:api|auth|cloud|http)-.+"
    # Google's client libraries, languages, and what they run on
    r"|gl-.+|gapic|gax|gccl.*|gdcl|grpc.*|rest|pb|auth|cred-type|runtime|node|node\.js|bun|deno|c?python|pypy|java|go|php"
    r"|ruby|dart|dotnet|darwin|linux|windows|dalvik|os|lang|md|ua"
    # HTTP
    r"|python-.+|httpx2?|requests|aiohttp|urllib3?|axios|undici|node-fetch|got|ky|go-http-client|okhttp|apache-.+|reqwest"
    r"|hyper|curl|wget|cfnetwork|guzzlehttp|faraday|java-http-client|reactornetty|ktor.*"
    # Browsers
    r"|mozilla|applewebkit|(?:headless)?chrome|chromium|crios|safari|gecko|firefox|electron|edg|opr|version|mobile"
)
"""Products that applications are made with."""

HEADERS = ("user-agent", "x-goog-api-client")
"""Where clients name themselves, in the order in which they are looked at."""
LONGEST = 1024
"""The most characters of a header that are read."""

LONGEST_SHORTENED = 3
"""The most characters of a class that a bundler has renamed. The SDKs in JavaScript name their class, so that of OpenAI
within Continue is `LS/JS 5.23.2`."""

_VERSION = (
    r"v?(\d{1,8}(?:\.\d{1,8}){0,3}(?:[-.]?(?:alpha|beta|rc|preview|nightly|dev|canary|next|a|b|post)\.?\d{0,8})?)"
)
"""A version begins with numbers; only these and a word such as `beta` are taken, so that nothing else gets into the
ledger."""
_NAME = r"[A-Za-z][\w.-]{0,39}"
_PRODUCT = re.compile(rf"({_NAME}(?:/[A-Za-z][\w.-]{{0,39}})?)/{_VERSION}(?![A-Za-z\d]).*", re.ASCII)
"""`name/version`, or with a package or channel between: `opencode/latest/1.3.15/cli`."""
_TWO_WORDS = re.compile(rf"({_NAME}) (?!(?:{''.join(LIBRARIES)}|{AI_SDKS_PRODUCTS})/)(?={_NAME}/\d)", re.ASCII | re.I)
"""The beginning of a header that names an application by two words: `Codex Desktop/0.133.0`."""
_STAINLESS = re.compile(rf"(?:Async)?([A-Za-z]{{1,40}})/[A-Za-z.]{{1,16}} {_VERSION}(?![A-Za-z\d])")
"""How the SDKs of OpenAI and Anthropic name themselves: `AsyncOpenAI/Python 2.1.0`."""
_COMMENT = re.compile(r"\([^)]*\)?")
_BETWEEN = re.compile(r"[\s,;]+")
_KEY = re.compile(r"(?:sk-|aiza|ya29|aq\.|eyj).*|.*\d[\w-]{16,}")
"""Like a key, not like a name."""
_LIBRARY = re.compile("".join(LIBRARIES))
_AI_SDK = re.compile(AI_SDKS_PRODUCTS)
_AI_SDKS_COMMON = re.compile(AI_SDKS_COMMON)


def sdk_of(headers: Mapping[str, str]) -> str | None:
    """The name and version of the application that made a call, such as `geminicli/0.61.0`; if its headers name none,
    of its SDK, such as `google-genai-sdk/1.2.3`; None if they name neither. `headers` finds them by their names in
    lower case."""
    texts = [headers.get(header, "")[:LONGEST] for header in HEADERS]
    products = [product for text in texts for product in _products(text)]
    for name, version in products:
        if not _LIBRARY.fullmatch(name.partition("/")[0]) and not _AI_SDK.fullmatch(name):
            return f"{_one_name(name)}/{version}"
    versions = [version for name, version in products if _AI_SDK.fullmatch(name)]
    common = [version for name, version in products if _AI_SDKS_COMMON.fullmatch(name)]
    if versions:
        return f"{AI_SDK}/{(common or versions)[0]}"
    if sdk := next((f"{name}/{version}" for name, version in products if name in SDKS), None):
        return sdk
    if match := _STAINLESS.match(texts[0]):
        name = match[1].lower()
        if len(name) <= LONGEST_SHORTENED:
            name = "anthropic" if "anthropic-version" in headers else "openai"
        return f"{name}/{match[2]}"
    return next((f"{name}/{version}" for name, version in _products(texts[0])), None)


def _products(text: str) -> Iterator[tuple[str, str]]:
    """The names, in lower case, and the versions of the products in a header."""
    if match := _TWO_WORDS.match(text):
        text = f"{match[1]}-{text[match.end() :]}"
    for part in _BETWEEN.split(_COMMENT.sub(" ", text)):
        if (match := _PRODUCT.fullmatch(part)) and not _KEY.fullmatch(match[1].lower()):
            yield match[1].lower(), match[2]


def _one_name(name: str) -> str:
    """The name without a package or channel, such as `opencode` for `opencode/latest`, and without an edition."""
    name = name.partition("/")[0]
    return next((one for pattern, one in EDITIONS if re.fullmatch(pattern, name)), name)
