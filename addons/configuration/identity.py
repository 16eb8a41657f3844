"""The proxy's own Google credentials: key files of service accounts, and application default credentials.

This module finds and checks them; `addons/tokens.py` gets access tokens with them.
"""

import json
import os
import warnings
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from types import MappingProxyType

import google.auth
from google.auth import crypt
from google.auth.credentials import Credentials
from google.oauth2 import service_account

from addons.configuration import values

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
KEY_FIELDS = ("client_email", "private_key", "token_uri")
"""Members that a key file must have."""


@dataclass(frozen=True, slots=True)
class Key:
    """The key file of a service account."""

    info: Mapping[str, str] = field(repr=False)
    """The members of the key file, read-only, in the form that google-auth takes. They include the private key."""

    @property
    def project(self) -> str | None:
        """The project that the service account belongs to."""
        return self.info.get("project_id")

    def credentials(self) -> Credentials:
        """New google-auth credentials for this key."""
        made: Credentials = service_account.Credentials.from_service_account_info(self.info, scopes=[SCOPE])
        return made


def read_key(path: Path) -> Key:
    """Read a key file, and check that its private key can sign. Raises ValueError, which quotes nothing of the file."""
    try:
        info = json.loads(path.read_bytes())
    except OSError as e:
        raise ValueError(f"{path} cannot be read ({e.strerror}); name the JSON key of a service account") from e
    except ValueError as e:
        where = f" (line {e.lineno}, column {e.colno})" if isinstance(e, json.JSONDecodeError) else ""
        raise ValueError(f"{path} is not JSON{where}; download the key again") from None
    if not isinstance(info, dict):
        raise ValueError(f"{path} is not a JSON object; download the key again")
    if info.get("type") not in (None, "service_account"):
        raise ValueError(f"{path} is not the key of a service account; set vertex_auth=adc for other credentials")
    if missing := [name for name in KEY_FIELDS if not isinstance(info.get(name), str) or not info[name]]:
        raise ValueError(f"{path} lacks {', '.join(missing)}; download the key again")
    if info.get("project_id") is not None:
        try:
            values.project(info["project_id"])
        except (ValueError, TypeError):
            raise ValueError(f"{path}: its project_id is not valid; download the key again") from None
    try:
        crypt.RSASigner.from_service_account_info(info).sign(b"vertex-tap")
    except Exception as e:
        # A broken PEM raises many types of errors, whose messages may quote it.
        raise ValueError(f"{path}: its private_key is not usable; download the key again") from e
    return Key(MappingProxyType(info))


DefaultCredentials = Callable[[], tuple[Credentials, str | None]]
"""Returns application default credentials and their project. Raises ValueError if there are none."""


def default_credentials() -> tuple[Credentials, str | None]:
    """The application default credentials of this machine, and their project if it is known. Raises ValueError if there
    are none."""
    try:
        with warnings.catch_warnings():
            # google-auth warns about credentials of a user, which may be what is wanted.
            warnings.simplefilter("ignore")
            found, project = google.auth.default(scopes=[SCOPE])
    except Exception:
        # google-auth raises many types of errors for a file that it cannot read.
        if file := os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            raise ValueError(
                f"{file} (GOOGLE_APPLICATION_CREDENTIALS) holds no application default credentials"
            ) from None
        raise ValueError(
            "there are no application default credentials here; run `gcloud auth application-default login`, or"
            " use service_account"
        ) from None
    return found, project
