"""The default options, and files for tests of options: key files and YAML configurations."""

import json
from pathlib import Path

from addons.configuration.services import Gateway
from addons.configuration.services import Service
from addons.configuration.settings import OPTIONS
from addons.configuration.settings import read

DEFAULTS = {name: default for name, (default, _) in OPTIONS.items()}
INJECTING_FILE = "services:\n  a: {provider: openai, base_url: 'https://x.example', api_key_env: SOME_KEY}\n"
"""A YAML configuration that adds a key of ours to calls, although `vertex_auth` is passthrough."""


def write_key(folder: Path, content: object) -> Path:
    """Writes a key file: a str as it is, any other content as JSON."""
    file = folder / "key.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def gateway(folder: Path, content: str, **options: str) -> Gateway:
    """The Gateway that a YAML file with this content and these options describe."""
    file = folder / "gateway.yaml"
    file.write_text(content)
    given = {"usage_db": str(folder / "usage.db"), "gateway_config": str(file)}
    return read(DEFAULTS | given | options, []).gateway


def email_of(service: Service) -> str:
    """The service account whose key a service has."""
    assert service.tokens
    return str(getattr(service.tokens.identity.credentials, "service_account_email", ""))
