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
from addons.configuration.services import Service
from addons.configuration.values import Endpoint
from addons.doctor.accounts import account_of
from addons.doctor.accounts import gets_tokens
from addons.doctor.accounts import token_of
from addons.doctor.finding import Finding
from addons.doctor.hosts import trusted
from addons.doctor.in_time import all_in_time
from addons.doctor.places import Place
from addons.doctor.places import upstream_of
from addons.doctor.projects import LOCATION
from addons.doctor.projects import PROJECT
from addons.doctor.projects import option_of
from addons.doctor.setup import Setup
from addons.tokens import TokenError
from addons.tokens import reason_of
from addons.translation.errors import InvalidRequest
from addons.translation.publishers import model_of
from metering.hosts import api_of

TOKEN = "token"
ROLE = "role"
MODEL = "model"
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
        told = "nothing is asked, as no service with credentials of the proxy can be used"
        yield Finding(TOKEN, True, told)
        return
    answers = all_in_time([partial(_ask, setup, service) for service in asked], ALL_S)
    found: list[Finding] = []
    for service, answer in zip(asked, answers, strict=True):
        if isinstance(answer, Exception):
            told = f"{service.name}: nothing came of asking it ({type(answer).__name__})"
            found.append(Finding(ROLE, False, told, "see what DNS, TCP and TLS say above, and try again"))
        else:
            found += answer
    yield from sorted(found, key=lambda finding: (TOKEN, ROLE, MODEL).index(finding.check))


def _ask(setup: Setup, service: Service) -> list[Finding]:
    if service.provider == "openai":
        return [_list_models(setup, service)]
    found: list[Finding] = []
    headers = {"x-goog-api-key": service.api_key or ""}
    if gets_tokens(service):
        try:
            token = token_of(service)
        except TokenError as e:
            return [Finding(TOKEN, False, f"{service.name}: {str(e).rstrip('.')}", _remedy_of_token(str(e)))]
        found.append(Finding(TOKEN, True, f"{service.name}: Google gives an access token"))
        headers = {"authorization": f"Bearer {token}"}
        if service.quota_project:
            headers["x-goog-user-project"] = service.quota_project
    at = upstream_of(setup, service)
    if at is None or not _may_have_credentials(setup, at):
        return [*found, Finding(ROLE, True, f"{service.name}: not asked, as its host may not have the credentials")]
    if gets_tokens(service) and not service.project:
        return [*found, Finding(ROLE, True, f"{service.name}: not asked, as its project is not known")]
    for model in models_of(setup, service):
        found += [one for one in _count(setup, service, at, headers, model) if one not in found]
        if not found[-1].ok and found[-1].check == ROLE:
            # It is the same for all models.
            break
    return found


def models_of(setup: Setup, service: Service) -> list[str]:
    """The models of Google's that the configuration names for a service, or else a usual one."""
    routed = [route.model for route in setup.routes if route.model and route.service == service.name]
    elsewhere = {route.model for route in setup.routes if route.service != service.name}
    named = [name for name in (*routed, *setup.models) if not _WILDCARD.search(name) and name not in elsewhere]
    found = []
    for name in dict.fromkeys(named):
        try:
            model = model_of(name)
        except InvalidRequest:
            continue
        if model.publisher in (None, "google") and (gets_tokens(service) or not model.is_endpoint):
            found.append(name)
    return found[:MOST_MODELS] or [USUAL_MODEL]


def _count(setup: Setup, service: Service, at: Endpoint, headers: dict[str, str], model: str) -> list[Finding]:
    """Count the tokens of one word."""
    above = parent(service) if gets_tokens(service) else ""
    path = f"{at.path}/{VERSION}{above}/{model_of(model).resource('countTokens')}"
    try:
        answer = _send(setup, "POST", at, path, headers, WORD)
    except requests.RequestException as e:
        return [Finding(ROLE, False, f"{service.name}: {_not_reached(e)}", "see what DNS, TCP and TLS say above")]
    status, body = answer.status_code, answer.content
    reason = reason_of(body) or f"status {status}"
    whose = f"{service.name}: {reason}"
    if status == 200:
        known = Finding(
            ROLE, True, f"{service.name}: the credentials may use Vertex AI in {service.project or 'their project'}"
        )
        return [known, Finding(MODEL, True, f"{service.name}: {model} is at {service.location}")]
    if status == 404:
        is_named = model != USUAL_MODEL or model in setup.models
        remedy = f"correct the name of the model, or choose another {option_of(setup, service, LOCATION)}"
        return [
            Finding(
                MODEL, not is_named, f"{service.name}: there is no {model} at {service.location} ({reason})", remedy
            )
        ]
    if status == 429:
        return [Finding(ROLE, True, whose, "the quota is used up now; the credentials are taken")]
    if status == 403:
        return [Finding(ROLE, False, whose, _remedy_of_403(setup, service, reason))]
    if service.api_key and status in (400, 401):
        return [Finding(ROLE, False, whose, "copy the API key again, and see that it is restricted to no other API")]
    remedy = "see what the clock says, and make a new key" if status == 401 else "try again later"
    return [Finding(ROLE, False, whose, "correct what Google names" if status == 400 else remedy)]


def _remedy_of_403(setup: Setup, service: Service, reason: str) -> str:
    project = service.project or "PROJECT"
    if re.search(r"has not been used|is disabled|SERVICE_DISABLED", reason):
        return f"enable the API: gcloud services enable aiplatform.googleapis.com --project={project}"
    if re.search(r"billing", reason, re.IGNORECASE):
        return f"enable billing for the project {project}"
    if service.api_key:
        return "allow this API key to use the Vertex AI API, in its restrictions"
    account = account_of(service)
    member = f"serviceAccount:{account}" if account else "user:YOU"
    return (
        f"give the role Vertex AI User, or correct {option_of(setup, service, PROJECT)}: gcloud projects"
        f" add-iam-policy-binding {project} --member={member} --role=roles/aiplatform.user"
    )


def _remedy_of_token(message: str) -> str:
    """What to do if Google gives no token, by its reason."""
    if re.search(r"time ?frame|iat|exp\b|short-lived", message):
        return "set the clock of this machine: Google refuses what is signed too early or too late"
    if re.search(r"not found|disabled", message):
        return "see in IAM whether the service account still is there and is enabled"
    if "gives no access token now" in message:
        return "see what DNS, TCP and TLS say of the token endpoint above, and try again"
    return "make a new key of the service account, or log in again (gcloud auth application-default login)"


def _list_models(setup: Setup, service: Service) -> Finding:
    """Ask an API that is compatible with OpenAI's for its models, as it counts no tokens."""
    at = service.base_url
    assert at
    headers = {"authorization": f"Bearer {service.api_key}"}
    try:
        answer = _send(setup, "GET", at, f"{at.path}/models", headers)
    except requests.RequestException as e:
        return Finding(ROLE, False, f"{service.name}: {_not_reached(e)}", "see what DNS, TCP and TLS say above")
    status = answer.status_code
    if status in (401, 403):
        told = f"{service.name}: {at.host} does not take the API key (status {status})"
        return Finding(ROLE, False, told, f"copy the key of the service {service.name} again")
    if status >= 500:
        return Finding(ROLE, False, f"{service.name}: {at.host} answers with status {status}", "try again later")
    if status == 404:
        told = f"{service.name}: {at.host} lists no models at {at.path}/models"
        return Finding(ROLE, True, told, "see that base_url ends as its documentation says, such as in /v1")
    return Finding(ROLE, True, f"{service.name}: {at.host} takes the API key")


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


def _not_reached(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted"
    return "it does not answer in time" if isinstance(error, requests.Timeout) else "it cannot be connected to"
