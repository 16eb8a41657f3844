"""`--online`: gets an access token for each service, and counts the tokens of one word with its models, which is free.

That shows whether Google takes the credentials, whether they have a role in the project, and whether the models are at
the location.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import requests

from addons.addressing import VERSION
from addons.addressing import parent
from addons.configuration.services import DEFAULT
from addons.configuration.services import Candidate
from addons.configuration.services import Service
from addons.configuration.values import Endpoint
from addons.doctor.accounts import gets_tokens
from addons.doctor.accounts import token_of
from addons.doctor.answers import MODEL
from addons.doctor.answers import ROLE
from addons.doctor.answers import SEE_ABOVE
from addons.doctor.answers import TOKEN
from addons.doctor.answers import of_count
from addons.doctor.answers import of_list
from addons.doctor.answers import of_token_error
from addons.doctor.finding import Finding
from addons.doctor.hosts import trusted
from addons.doctor.in_time import all_in_time
from addons.doctor.places import Place
from addons.doctor.places import upstream_of
from addons.doctor.routes import CRITERIA
from addons.doctor.routes import covers
from addons.doctor.setup import Setup
from addons.tokens import TokenError
from addons.tokens import reason_of
from addons.translation.errors import InvalidRequest
from addons.translation.publishers import model_of
from metering.hosts import api_of

USUAL_MODEL = "gemini-2.5-flash"
"""Asked for where the configuration names no model of Google's."""
MOST_MODELS = 5
ANSWER_S = 10.0
ALL_S = 40.0
"""The most time for all services together, which are asked at the same time."""
WORD = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
_WILDCARD = re.compile(r"[*?\[]")


def online(setup: Setup) -> Iterator[Finding]:
    """What each service answers that has credentials of the proxy."""
    asked = [service for service in setup.services.values() if service.injects]
    if not asked:
        yield Finding(TOKEN, True, "nothing is asked, as no service with credentials of the proxy can be used")
        return
    replies = all_in_time([partial(_ask, setup, service) for service in asked], ALL_S)
    found: list[Finding] = []
    for service, reply in zip(asked, replies, strict=True):
        if isinstance(reply, Exception):
            told = f"{service.name}: nothing came of asking it ({type(reply).__name__})"
            found.append(Finding(ROLE, False, told, SEE_ABOVE))
        else:
            found += reply
    yield from sorted(found, key=lambda finding: (TOKEN, ROLE, MODEL).index(finding.check))


def _ask(setup: Setup, service: Service) -> list[Finding]:
    """What a service answers."""
    try:
        if service.provider == "openai":
            return [_list_models(setup, service)]
        if not gets_tokens(service):
            return _count_all(setup, service, {"x-goog-api-key": service.api_key or ""})
        headers = {"authorization": f"Bearer {token_of(service)}"}
    except TokenError as e:
        return [of_token_error(service, str(e))]
    if service.quota_project:
        headers["x-goog-user-project"] = service.quota_project
    token = Finding(TOKEN, True, f"{service.name}: Google gives an access token")
    return [token, *_count_all(setup, service, headers)]


def _count_all(setup: Setup, service: Service, headers: dict[str, str]) -> list[Finding]:
    """Count the tokens of one word with each model, until one answer holds for all of them."""
    at = upstream_of(setup, service)
    if at is None or not _may_have_credentials(setup, at):
        return [Finding(ROLE, True, f"{service.name}: not asked, as its host may not have the credentials")]
    if gets_tokens(service) and not service.project:
        return [Finding(ROLE, True, f"{service.name}: not asked, as its project is not known")]
    above = parent(service) if gets_tokens(service) else ""
    named = models_of(setup, service)
    found: dict[Finding, None] = {}
    for model in named or [USUAL_MODEL]:
        path = f"{at.path}/{VERSION}{above}/{model_of(model).resource('countTokens')}"
        try:
            answer = _send(setup, "POST", at, path, headers, WORD)
        except requests.RequestException as e:
            return [_not_reached(service, e)]
        reason = reason_of(answer.content) or f"status {answer.status_code}"
        told = of_count(setup, service, model, answer.status_code, reason, is_named=bool(named))
        found |= dict.fromkeys(told)
        if not told[0].ok and told[0].check == ROLE:
            break
    return [*found]


def models_of(setup: Setup, service: Service) -> list[str]:
    """The models of Google's that the configuration names for a service."""
    asked = [(one, route.model) for route in setup.routes for one in route.candidates]
    asked += [(one, name) for name in setup.models for one in _candidates(setup, name)]
    named = [one.model or name for one, name in asked if one.service == service.name]
    found = []
    for name in dict.fromkeys(name for name in named if name and not _WILDCARD.search(name)):
        try:
            model = model_of(name)
        except InvalidRequest:
            continue
        if model.publisher in (None, "google") and (gets_tokens(service) or not model.is_endpoint):
            found.append(name)
    return found[:MOST_MODELS]


def _candidates(setup: Setup, model: str) -> Iterator[Candidate]:
    """What may answer calls that ask for a model."""
    for route in setup.routes:
        if covers(route.model, model):
            yield from route.candidates
            if not any(getattr(route, name) for name in CRITERIA if name != "model"):
                return
    yield Candidate(DEFAULT)


def _list_models(setup: Setup, service: Service) -> Finding:
    """Ask an API that is compatible with OpenAI's for its models, as it counts no tokens."""
    at = service.base_url
    assert at
    path = f"{at.path}/models"
    try:
        answer = _send(setup, "GET", at, path, {"authorization": f"Bearer {service.api_key}"})
    except requests.RequestException as e:
        return _not_reached(service, e)
    return of_list(service, at.host, path, answer.status_code)


def _send(
    setup: Setup, method: str, at: Endpoint, path: str, headers: dict[str, str], body: dict[str, Any] | None = None
) -> requests.Response:
    """Raises requests.RequestException."""
    file, folder = trusted(setup, Place(at, ""))
    host = f"[{at.host}]" if ":" in at.host else at.host
    with requests.Session() as session:
        session.trust_env = False
        return session.request(
            method,
            f"{at.scheme}://{host}:{at.port}{path}",
            json=body,
            headers=headers,
            timeout=ANSWER_S,
            verify=file or folder or True,
            allow_redirects=False,
        )


def _may_have_credentials(setup: Setup, at: Endpoint) -> bool:
    """Whether a host is Google's, over TLS, or one that the user has named."""
    if api_of(at.host):
        return at.scheme == "https" and api_of(at.host) == "vertex"
    return at == setup.settings.vertex_endpoint or any(at[1:3] == mode.address for mode in setup.reverse)


def _not_reached(service: Service, error: requests.RequestException) -> Finding:
    told = "it cannot be connected to"
    if isinstance(error, requests.exceptions.SSLError):
        told = "its certificate is not trusted"
    elif isinstance(error, requests.Timeout):
        told = "it does not answer in time"
    return Finding(ROLE, False, f"{service.name}: {told}", SEE_ABOVE)
