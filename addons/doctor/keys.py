"""The proxy's own credentials: key files of service accounts, API keys, application default credentials."""

import json
from collections.abc import Iterator
from pathlib import Path

from google.auth.compute_engine import _metadata

from addons.configuration.identity import KeyFile
from addons.doctor.accounts import gets_tokens
from addons.doctor.finding import Finding
from addons.doctor.finding import of_problem
from addons.doctor.options import problems_of
from addons.doctor.setup import Setup

KEY_FILE = "key file"
CREDENTIALS = "credentials"
NEW_KEY = (
    "make a key of a service account: gcloud iam service-accounts keys create key.json"
    " --iam-account=NAME@PROJECT.iam.gserviceaccount.com"
)
ADC = "set vertex_auth=adc (in the file of services: auth: adc), or name the key of a service account"
LOG_IN = "log in again (gcloud auth application-default login), or name another file in that variable"
TYPES = {
    "authorized_user": ("has the credentials of a user, not those of a service account", ADC),
    "external_account": ("describes workload identity, and is no key of a service account", ADC),
    "external_account_authorized_user": ("describes workforce identity, and is no key of a service account", ADC),
    "impersonated_service_account": ("describes impersonation, and is no key of a service account", ADC),
}
"""`type` of a file that Google's tools write -> what it is, and what to do."""
THERE_ARE_NONE = "there are no application default credentials"
OAUTH_CLIENT = "is an OAuth client, with which users sign in, and no key of a service account"


def key_file(setup: Setup) -> Iterator[Finding]:
    """Whether each key file that is named is the key of a service account, and can sign."""
    for name, file in setup.key_files.items():
        try:
            key = KeyFile(file).read()
        except ValueError as e:
            yield _of_another_type(name, file) or of_problem(KEY_FILE, f"{name}: {e}")
        else:
            yield Finding(KEY_FILE, True, f"{name}: {file} can sign for {key.account}")
    others = [
        found
        for found in problems_of(setup, KEY_FILE)
        if not any(f": {file}{end}" in found.message for file in setup.key_files.values() for end in (" ", ": "))
    ]
    yield from others
    if not setup.key_files and not others:
        yield Finding(KEY_FILE, True, "none is used")


def _of_another_type(name: str, file: Path) -> Finding | None:
    """What a file is that Google has made for something else."""
    try:
        told = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    if "type" not in told and ("installed" in told or "web" in told):
        return Finding(KEY_FILE, False, f"{name}: {file} {OAUTH_CLIENT}", NEW_KEY)
    what, remedy = TYPES.get(str(told.get("type")), ("", ""))
    return Finding(KEY_FILE, False, f"{name}: {file} {what}", remedy) if what else None


def credentials(setup: Setup) -> Iterator[Finding]:
    """Whether there are the API keys and the application default credentials that are asked for."""
    problems = [*problems_of(setup, CREDENTIALS, LOG_IN)]
    for problem in problems:
        if THERE_ARE_NONE in problem.message and not setup.is_online and _is_googles_machine():
            told = "application default credentials come from Google's metadata server, which was not asked"
            yield Finding(CREDENTIALS, True, told, "ask it with --online")
        else:
            yield problem
    if setup.incomplete and not problems:
        told = f"those of {', '.join(sorted(setup.incomplete))} cannot be used, as another check says"
        yield Finding(CREDENTIALS, True, told)
    elif not problems:
        used = [service for service in setup.services.values() if service.injects]
        told = ", ".join(f"{service.name} ({service.auth if gets_tokens(service) else 'API key'})" for service in used)
        yield Finding(CREDENTIALS, True, f"services with credentials of the proxy: {told}" if told else "none are used")


def _is_googles_machine() -> bool:
    """Whether this is a machine of Google's, as its firmware tells."""
    return bool(_metadata.detect_gce_residency_linux())
