"""The options as nobody has set them, and files that they name."""

import json
from pathlib import Path

from addons.configuration.services import Gateway
from addons.configuration.settings import OPTIONS
from addons.configuration.settings import read

DEFAULTS = {name: default for name, (default, _) in OPTIONS.items()}
INJECTING_FILE = "services:\n  a: {provider: openai, base_url: 'https://x.example', api_key_env: SOME_KEY}\n"
"""With a key that clients do not have, though `vertex_auth` is passthrough."""


def write_key(folder: Path, content: object) -> Path:
    """A key file of this content, as JSON unless it is text."""
    file = folder / "key.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def gateway(folder: Path, content: str, **options: str) -> Gateway:
    """What a YAML file and options describe."""
    file = folder / "gateway.yaml"
    file.write_text(content)
    given = {"usage_db": str(folder / "usage.db"), "gateway_config": str(file)}
    return read(DEFAULTS | given | options, []).gateway
