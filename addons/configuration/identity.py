"""The proxy's own Google credentials: keys of service accounts, and application default credentials.

This module finds and checks them; `addons/tokens.py` gets access tokens with them.
"""

import hashlib
import json
import os
import warnings
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Protocol

import google.auth
from google.auth import _cloud_sdk
from google.auth import crypt
from google.auth import exceptions
from google.auth.credentials import Credentials
from google.oauth2 import service_account

from addons.configuration import values

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
KEY_FIELDS = ("client_email", "private_key", "token_uri")
"""Members that a key must have."""


class Origin(Protocol):
    """Where a credential is found. Origins that are equal are the same place."""

    def read(self) -> "Identity":
        """The credential as it is there now. Raises ValueError, which quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A credential of the proxy's own, as it was found. Identities are equal if nothing has changed between them."""

    origin: Origin
    digest: str = field(repr=False)
    """Tells whether the credential is another one than before."""
    project: str | None
    """The project that it belongs to, if that is known."""
    credentials: Credentials = field(repr=False, compare=False)
    """A google-auth object. It stores its latest token in itself, so it changes, but never whose it is."""
    account: str | None = None
    """The service account whose key it is."""


# Keys of service accounts


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file that holds a key."""

    path: Path

    def read(self) -> Identity:
        """The key in the file. Raises ValueError."""
        try:
            content = self.path.read_bytes()
        except OSError as e:
            raise ValueError(
                f"{self.path} cannot be read ({e.strerror}); name the JSON key of a service account"
            ) from e
        return identity_of(content, self, str(self.path), "download the key again")


@dataclass(frozen=True, slots=True)
class KeyVariable:
    """An environment variable that holds a key."""

    name: str = field(repr=False)
    """Never shown: the user may have written the key itself in place of the name."""

    def read(self) -> Identity:
        """The key in the variable. Raises ValueError."""
        if not (value := os.environ.get(self.name)):
            raise ValueError(values.NO_VARIABLE)
        return identity_of(os.fsencode(value), self, "the variable's value", "put the JSON key of an account there")


def identity_of(content: bytes, origin: Origin, whence: str, remedy: str) -> Identity:
    """The service account whose JSON key `content` is, after a check that the key can sign.

    `whence` says in error messages what the content is, `remedy` what to do if it is no key. Raises ValueError, which
    quotes nothing of it.
    """
    try:
        info = json.loads(content)
    except (ValueError, RecursionError) as e:
        where = f" (line {e.lineno}, column {e.colno})" if isinstance(e, json.JSONDecodeError) else ""
        raise ValueError(f"{whence} is not JSON{where}; {remedy}") from None
    if not isinstance(info, dict):
        raise ValueError(f"{whence} is not a JSON object; {remedy}")
    if info.get("type") not in (None, "service_account"):
        raise ValueError(f"{whence} is not the key of a service account; write adc for other credentials")
    if missing := [name for name in KEY_FIELDS if not isinstance(info.get(name), str) or not info[name]]:
        raise ValueError(f"{whence} lacks {', '.join(missing)}; {remedy}")
    try:
        values.endpoint(info["token_uri"])
    except ValueError:
        raise ValueError(f"{whence}: its token_uri is not the URL of a server; {remedy}") from None
    project = info.get("project_id")
    if project is not None:
        try:
            values.project(project)
        except (ValueError, TypeError):
            raise ValueError(f"{whence}: its project_id is not valid; {remedy}") from None
    try:
        crypt.RSASigner.from_service_account_info(info).sign(b"vertex-tap")
        credentials = service_account.Credentials.from_service_account_info(info, scopes=[SCOPE])
    except Exception as e:
        # A broken PEM raises many types of errors, whose messages may quote it.
        raise ValueError(f"{whence}: its private_key is not usable; {remedy}") from e
    digest = _digest(json.dumps(info, sort_keys=True).encode())
    return Identity(origin, digest, project, credentials, info["client_email"])


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# Application default credentials


@dataclass(frozen=True, slots=True)
class DefaultCredentials:
    """The application default credentials of this machine: those of a user, of a service account, of a workload that
    another provider vouches for, of the machine itself."""

    def read(self) -> Identity:
        """The credentials and their project, if it is known. Raises ValueError if there are none."""
        named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        try:
            with warnings.catch_warnings():
                # google-auth warns about credentials of a user, which may be what is wanted.
                warnings.simplefilter("ignore")
                found, project = google.auth.default(scopes=[SCOPE])
        except (exceptions.OAuthError, exceptions.RefreshError, exceptions.TransportError):
            # It asks for the project of a workload that another provider vouches for.
            raise ValueError(
                f"{named or 'the machine'}: Google gives no access token now for these application default credentials;"
                " correct them, or try again"
            ) from None
        except Exception:
            # google-auth raises many types of errors for a file that it cannot read.
            if named:
                raise ValueError(
                    f"{named} (GOOGLE_APPLICATION_CREDENTIALS) holds no application default credentials"
                ) from None
            raise ValueError(
                "there are no application default credentials here; run `gcloud auth application-default login`, or"
                " use service_account"
            ) from None
        return Identity(self, _digest(_content_of(Path(named or _file_of_gcloud()))), project, found)


def _file_of_gcloud() -> str:
    """Where `gcloud auth application-default login` puts its credentials."""
    return str(_cloud_sdk.get_application_default_credentials_path())


def _content_of(file: Path) -> bytes:
    """The content of a file; none if the credentials are those of the machine, which has no file for them."""
    try:
        return file.read_bytes()
    except OSError:
        return b""
