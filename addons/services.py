"""What can answer: a Vertex project with credentials of ours, or of the client's."""

import json
import os
import re
import warnings
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Literal

import google.auth
from google.auth import crypt
from google.auth.credentials import Credentials
from google.oauth2 import service_account

from metering.paths import vertex_host

if TYPE_CHECKING:
    from addons.options import Settings

Auth = Literal["passthrough", "service_account", "adc", "express"]
Mode = Literal["observe", "convert", "compatible"]


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    auth: Auth
    openai: Mode
    """What becomes of OpenAI calls."""
    location: str
    project: str | None = None
    api_key: str | None = field(default=None, repr=False)
    quota_project: str | None = None
    """Which project pays for calls with credentials of another."""
    credentials: Credentials | None = field(default=None, repr=False)

    @property
    def injects(self) -> bool:
        """Whether calls get credentials that the client does not have."""
        return self.auth != "passthrough"

    @property
    def rewrites(self) -> bool:
        """Whether it answers OpenAI calls."""
        return self.openai != "observe"


def from_settings(settings: "Settings") -> Service:
    """The one that options describe. Raises ValueError where there are no application default credentials."""
    project, credentials = settings.vertex_project, None
    if settings.vertex_auth == "service_account" and settings.vertex_credentials:
        key = settings.vertex_credentials
        project = project or key.project
        credentials = service_account.Credentials.from_service_account_info(key.info, scopes=[SCOPE])
    elif settings.vertex_auth == "adc":
        credentials, theirs = _default_credentials()
        project = project or theirs
    return Service(
        "default",
        settings.vertex_auth,
        settings.openai_mode,
        settings.vertex_location,
        project,
        settings.vertex_api_key or None,
        getattr(credentials, "quota_project_id", None),
        credentials,
    )


def _default_credentials() -> tuple[Credentials, str | None]:
    try:
        with warnings.catch_warnings():
            # That they are a user's, which is what the user wants.
            warnings.simplefilter("ignore")
            found, project = google.auth.default(scopes=[SCOPE])
    except Exception:
        # google-auth raises what it happens to meet in a file that is none of its own.
        if file := os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            raise ValueError(
                f"{file} (GOOGLE_APPLICATION_CREDENTIALS) holds no application default credentials"
            ) from None
        raise ValueError(
            "there are no application default credentials here; run `gcloud auth application-default login`, or"
            " write service_account"
        ) from None
    return found, project


@dataclass(frozen=True, slots=True)
class Key:
    """The key file of a service account."""

    info: dict[str, str] = field(repr=False)

    @property
    def project(self) -> str | None:
        return self.info.get("project_id")


KEY_FIELDS = ("client_email", "private_key", "token_uri")
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_PROJECT = re.compile(r"(?:[a-z][a-z0-9.-]{1,61}:)?[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


def project(text: str) -> str:
    """A project's id or number. Raises ValueError: it becomes part of a path."""
    if not _PROJECT.fullmatch(text):
        raise ValueError("write the id of a Google Cloud project, such as my-project-123")
    return text


def location(text: str) -> str:
    """Raises ValueError: it becomes part of a host."""
    try:
        vertex_host(text)
    except ValueError:
        raise ValueError("write a location of Vertex AI, such as global or us-central1") from None
    return text


def key(path: Path) -> Key:
    """Reads a key file, and signs with it once. Raises ValueError, which quotes nothing of it."""
    try:
        info = json.loads(path.read_bytes())
    except OSError as e:
        raise ValueError(f"{path} cannot be read ({e.strerror}); name the JSON key of a service account") from e
    except ValueError as e:
        where = f" (line {e.lineno}, column {e.colno})" if isinstance(e, json.JSONDecodeError) else ""
        raise ValueError(f"{path} is not JSON{where}; download the key again") from None
    if not isinstance(info, dict):
        raise ValueError(f"{path} is no JSON object; download the key again")
    if info.get("type") not in (None, "service_account"):
        raise ValueError(f"{path} is no key of a service account; set vertex_auth=adc for other credentials")
    if missing := [name for name in KEY_FIELDS if not isinstance(info.get(name), str) or not info[name]]:
        raise ValueError(f"{path} lacks {', '.join(missing)}; download the key again")
    if info.get("project_id") is not None:
        try:
            project(info["project_id"])
        except (ValueError, TypeError):
            raise ValueError(f"{path}: its project_id is no project; download the key again") from None
    try:
        crypt.RSASigner.from_service_account_info(info).sign(b"vertex-tap")
    except Exception as e:
        # What is wrong with a PEM has many types, and messages that may quote it.
        raise ValueError(f"{path}: its private_key cannot sign; download the key again") from e
    return Key(info)
