"""What the answers of Google, and of APIs that are compatible with OpenAI's, say of a set-up."""

import re

from addons.configuration.services import Service
from addons.doctor.accounts import account_of
from addons.doctor.finding import Finding
from addons.doctor.projects import LOCATION
from addons.doctor.projects import PROJECT
from addons.doctor.projects import option_of
from addons.doctor.setup import Setup

TOKEN = "token"
ROLE = "role"
MODEL = "model"
SEE_ABOVE = "see what DNS, TCP, TLS and proxy variables say above, and try again"
REMEDIES = {
    400: "correct what Google names",
    401: "see what the clock says, and make a new key",
    429: "the quota is used up now; the credentials are accepted",
}
"""Status of an answer to countTokens -> what to do, whoever asks."""
REMEDIES_OF_TOKENS = {
    r"time ?frame|short-lived": "set the clock of this machine: Google refuses what is signed too early or too late",
    r"not found|disabled": "see in IAM whether the service account is still there and enabled",
    r"gives no access token now": SEE_ABOVE,
}
"""Pattern of a reason why there is no token -> what to do; the first that matches."""
NEW_CREDENTIALS = "make a new key of the service account, or log in again (gcloud auth application-default login)"


def of_token_error(service: Service, reason: str) -> Finding:
    """Why there is no access token."""
    remedies = (remedy for pattern, remedy in REMEDIES_OF_TOKENS.items() if re.search(pattern, reason))
    return Finding(TOKEN, False, f"{service.name}: {reason.rstrip('.')}", next(remedies, NEW_CREDENTIALS))


def of_count(setup: Setup, service: Service, model: str, status: int, reason: str, *, is_named: bool) -> list[Finding]:
    """What an answer to countTokens says of the role and of the model. `is_named` is whether the configuration names
    that model."""
    name = service.name
    if status == 200:
        where = service.project or "the project of the API key"
        role = Finding(ROLE, True, f"{name}: the credentials may use Vertex AI in {where}")
        return [role, Finding(MODEL, True, f"{name}: {model} is at {service.location}")]
    if status == 404:
        remedy = f"correct the name of the model, or choose another {option_of(setup, service, LOCATION)}"
        told = f"{name}: there is no {model} at {service.location} ({reason})"
        return [Finding(MODEL, not is_named, told, remedy)]
    # A quota says nothing of the set-up.
    return [Finding(ROLE, status == 429, f"{name}: {reason}", _remedy(setup, service, status, reason))]


def _remedy(setup: Setup, service: Service, status: int, reason: str) -> str:
    project = service.project or "PROJECT"
    if status == 403 and re.search(r"has not been used|is disabled|SERVICE_DISABLED", reason):
        return f"enable the API: gcloud services enable aiplatform.googleapis.com --project={project}"
    if status == 403 and re.search(r"billing", reason, re.IGNORECASE):
        return f"enable billing for the project {project}"
    if service.api_key and status in (400, 401, 403):
        return "copy the API key again, and see that its restrictions allow the Vertex AI API"
    if status != 403:
        return REMEDIES.get(status, "try again later")
    account = account_of(service)
    member = f"serviceAccount:{account}" if account else "user:YOU"
    return (
        f"give the role Vertex AI User, or correct {option_of(setup, service, PROJECT)}: gcloud projects"
        f" add-iam-policy-binding {project} --member={member} --role=roles/aiplatform.user"
    )


def of_list(service: Service, host: str, path: str, status: int) -> Finding:
    """What an answer to a request for the list of models says of the API key."""
    name = service.name
    if status in (401, 403):
        told = f"{name}: {host} does not accept the API key (status {status})"
        return Finding(ROLE, False, told, f"copy the key of the service {name} again")
    if status >= 500:
        return Finding(ROLE, False, f"{name}: {host} answers with status {status}", "try again later")
    if status == 404:
        remedy = "see that base_url ends as its documentation says, such as in /v1"
        return Finding(ROLE, True, f"{name}: {host} lists no models at {path}", remedy)
    return Finding(ROLE, True, f"{name}: {host} accepts the API key")
