"""The environment variables of a program that `vertex-tap run` starts.

They lead the program to a private proxy. What they have said before becomes the upstream of that proxy: a base URL, an
HTTP proxy, certificates.
"""

import re
import ssl
from collections.abc import Container
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote
from urllib.parse import urlsplit

from addons.configuration import values
from addons.configuration.listening import LOOPBACK
from addons.configuration.values import Endpoint
from addons.entrance import CERTIFICATE_VARIABLES
from metering.hosts import api_of


class BaseUrl(NamedTuple):
    """A variable in which a client looks for its base URL."""

    end: str
    """What the URL ends in, as the client puts it before its paths."""
    option: str | None
    """The option that sends calls to the URL that is set already; None if it needs a listener of its own, as the
    `reverse:` target gets the Gemini API's calls."""


BASE_URLS = {
    "GOOGLE_VERTEX_BASE_URL": BaseUrl("", "vertex_endpoint"),
    "GOOGLE_GEMINI_BASE_URL": BaseUrl("", None),
    "OPENAI_BASE_URL": BaseUrl("/v1", "openai_endpoint"),
    "OPENAI_API_BASE": BaseUrl("/v1", "openai_endpoint"),
    "ANTHROPIC_VERTEX_BASE_URL": BaseUrl("/v1", "vertex_endpoint"),
}
"""Variables for `--via base-url`: google-genai's, openai's (`OPENAI_API_BASE` is LangChain's and LiteLLM's), and
anthropic's for Claude on Vertex AI."""
CONVERTED = ("ANTHROPIC_BASE_URL", "")
"""The variable, and the end of its value, that is set too if Anthropic's Messages are converted."""
GEMINI = "GOOGLE_GEMINI_BASE_URL"
PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
"""Variables that name the proxy for HTTPS; the first that is set counts, as for curl."""
OTHER_PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
"""Variables that name the proxy for plain HTTP, which a base URL of ours must not take."""


class Found(NamedTuple):
    """What the variables say before the program starts."""

    options: dict[str, str]
    """Options of the proxy."""
    gemini: Endpoint | None
    """Where the Gemini API's calls go."""
    problems: list[str]


# Base URLs


def upstreams(environ: Mapping[str, str], set_options: Container[str | None], *, openai_goes_on: bool) -> Found:
    """The upstreams that base URLs name.

    An option in `set_options` (names) overrides them. `openai_goes_on` is whether calls of OpenAI's dialect are sent
    on, instead of being converted.
    """
    named: dict[str, Endpoint] = {}
    problems = []
    for variable, base in BASE_URLS.items():
        is_used = base.option not in set_options and (openai_goes_on or base.option != "openai_endpoint")
        if environ.get(variable) and is_used:
            try:
                named[variable] = _endpoint(environ[variable], base)
            except ValueError as e:
                problems.append(f"{variable}: {e}; or unset it")
    options: dict[str, str] = {}
    for variable, upstream in named.items():
        option = BASE_URLS[variable].option
        others = (other for other in named if _compete(other, variable))
        if other := next((other for other in others if not _agree(named, other, variable)), None):
            problems.append(f"{variable}: names another URL than {other}, and calls of both go the same way; unset one")
        elif option:
            options[option] = _url(upstream)
    return Found(options, named.get(GEMINI), problems)


def _compete(one: str, other: str) -> bool:
    """Whether two variables, the first before the second, name the upstream of the same calls. The Gemini API is
    Google's too."""
    names = list(BASE_URLS)
    options = {BASE_URLS[name].option or "vertex_endpoint" for name in (one, other)}
    return names.index(one) < names.index(other) and len(options) == 1


def _agree(named: Mapping[str, Endpoint], one: str, other: str) -> bool:
    """Whether both variables can be honoured."""
    if GEMINI not in (one, other):
        return named[one] == named[other]
    # Its calls have a listener of their own, so only another party counts.
    return named[one][:3] == named[other][:3] or api_of(named[GEMINI].host) == "gemini"


def _endpoint(url: str, base: BaseUrl) -> Endpoint:
    """The upstream that a base URL names. Raises ValueError."""
    upstream = values.endpoint(url)
    if base.option == "vertex_endpoint" and base.end:
        if not upstream.path.endswith(base.end):
            raise ValueError(f"write a URL that ends in {base.end}")
        return upstream._replace(path=upstream.path.removesuffix(base.end))
    return upstream


def _url(upstream: Endpoint) -> str:
    return origin(upstream) + upstream.path


def origin(upstream: Endpoint) -> str:
    """A URL without its path, such as `https://example.com:443`."""
    host = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
    return f"{upstream.scheme}://{host}:{upstream.port}"


def with_base_urls(environ: Mapping[str, str], url: str, gemini_url: str, *, converts: bool) -> dict[str, str]:
    """The variables of a program that calls the proxy at `url`, and at `gemini_url` with the Gemini API. `converts` is
    whether Anthropic's Messages are converted."""
    variables = {name: url + base.end for name, base in BASE_URLS.items()}
    variables[GEMINI] = gemini_url
    if converts:
        variables[CONVERTED[0]] = url + CONVERTED[1]
    if any(environ.get(name) for name in OTHER_PROXIES):
        # Otherwise the program would look for us behind its proxy.
        none = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
        variables |= dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(filter(None, (none, LOOPBACK))))
    return {**environ, **variables}


# Proxy


def upstream_proxy(environ: Mapping[str, str]) -> Found:
    """The options for the proxy that is set already."""
    variable = next((name for name in PROXIES if environ.get(name)), None)
    if variable is None:
        return Found({}, None, [])
    other = next((name for name in PROXIES[:2] if environ.get(name, environ[variable]) != environ[variable]), None)
    if other and environ[other]:
        return Found({}, None, [f"{other}: names another proxy than {variable}; unset one"])
    text = environ[variable]
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        upstream = Endpoint(url.scheme, url.hostname or "", url.port or {"http": 80, "https": 443}[url.scheme], "")
        values.endpoint(_url(upstream))
    except (ValueError, KeyError):
        return Found({}, None, [f"{variable}: write the URL of an HTTP proxy, such as http://proxy.example:3128"])
    options = {"mode": f"upstream:{_url(upstream)}"}
    if url.username is not None:
        options["upstream_auth"] = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return Found(options, None, [])


def with_proxy(environ: Mapping[str, str], url: str, bundle: Path) -> dict[str, str]:
    """The variables of a program whose proxy is at `url`, and that trusts the certificates in `bundle`."""
    return {
        **environ,
        **dict.fromkeys(("HTTPS_PROXY", "https_proxy"), url),
        **dict.fromkeys(CERTIFICATE_VARIABLES, str(bundle)),
        "NODE_USE_ENV_PROXY": "1",
    }


# Certificates


_CERTIFICATE = re.compile(
    r"-----BEGIN (TRUSTED )?CERTIFICATE-----.+?-----END (?(1)TRUSTED )CERTIFICATE-----", re.DOTALL
)


OF_THE_MACHINE = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    ssl.get_default_verify_paths().openssl_cafile,
)
"""Files with the certificates that a machine trusts: Debian's, Fedora's, that of Alpine and macOS, OpenSSL's. The first
that is there counts."""


class Certificates(NamedTuple):
    """What a program trusts."""

    pem: str
    problems: list[str]


def certificates(environ: Mapping[str, str]) -> Certificates:
    """All certificates in the files (or folders) that variables name, and those of this machine: a program must still
    trust what it has trusted before."""
    named = {environ[name]: name for name in CERTIFICATE_VARIABLES if environ.get(name)}
    found: dict[str, None] = {}
    problems = []
    for place, variable in named.items():
        try:
            pems = [*_pems(Path(place))]
        except OSError as e:
            problems.append(f"{variable}: {place} cannot be read ({e.strerror}); name another file, or unset it")
            continue
        if not pems:
            problems.append(f"{variable}: there is no certificate in {place}; name another file, or unset it")
        found |= dict.fromkeys(pems)
    if ours := next(filter(Path.is_file, map(Path, OF_THE_MACHINE)), None):
        found |= dict.fromkeys(_pems(ours))
    return Certificates("".join(f"\n{pem}\n" for pem in found), problems)


def _pems(place: Path) -> Iterator[str]:
    """The certificates in a file, or in the files of a folder. Raises OSError."""
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    for file in files:
        if file is place or file.is_file():
            yield from (match.group() for match in _CERTIFICATE.finditer(file.read_text(errors="replace")))
