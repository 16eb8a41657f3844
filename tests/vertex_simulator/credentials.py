"""Who may call: API keys, and access tokens minted for service accounts whose signed JWTs are verified."""

import base64
import json
import secrets
import time
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import rsa

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
AUDIENCE = "https://oauth2.googleapis.com/token"
"""What google-auth signs for, wherever it sends the assertion."""
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Denied(Exception):
    """Raised with the HTTP status, Google's word for it, and a message."""

    def __init__(self, status: int, word: str, message: str) -> None:
        super().__init__(message)
        self.status, self.word, self.message = status, word, message


@dataclass
class Credentials:
    api_keys: set[str] = field(default_factory=lambda: {"AIzaSimulatedKey"})
    expires_in: int = 3600
    minted: int = 0
    refusal: tuple[int, bytes] | None = None
    """Status and body that every token request gets instead of a token, while it is set."""
    refused: int = 0
    _accounts: dict[str, rsa.RSAPublicKey] = field(default_factory=dict)
    _tokens: dict[str, float] = field(default_factory=dict)

    def service_account(self, token_uri: str, project: str = "test-project") -> dict[str, str]:
        """A new key file, whose tokens this simulator will mint."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        email = f"tester-{secrets.token_hex(3)}@{project}.iam.gserviceaccount.com"
        self._accounts[email] = key.public_key()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": project,
            "private_key_id": secrets.token_hex(8),
            "private_key": pem.decode(),
            "client_email": email,
            "client_id": "1234567890",
            "token_uri": token_uri,
        }

    def mint(self, body: bytes, audience: str) -> dict[str, Any]:
        """Answers a token request. Raises Denied if its JWT does not hold."""
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if form.get("grant_type") != GRANT:
            raise Denied(400, "unsupported_grant_type", "Invalid grant_type")
        header, payload, signature = form.get("assertion", "..").split(".")
        claims = json.loads(_unpad(payload))
        key = self._accounts.get(claims.get("iss", ""))
        if key is None:
            raise Denied(400, "invalid_grant", "Invalid grant: account not found")
        try:
            key.verify(_unpad(signature), f"{header}.{payload}".encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise Denied(400, "invalid_grant", "Invalid JWT Signature.") from None
        if claims["aud"] not in (audience, AUDIENCE) or SCOPE not in claims["scope"] or claims["exp"] < time.time():
            raise Denied(400, "invalid_grant", "Invalid JWT: audience, scope or expiry")
        self.minted += 1
        return {"access_token": self.token(), "expires_in": self.expires_in, "token_type": "Bearer"}

    def token(self) -> str:
        token = f"ya29.{secrets.token_urlsafe(24)}"
        self._tokens[token] = time.time() + self.expires_in
        return token

    def forget(self, email: str) -> None:
        """This account's key gets no token any longer. Those that it has got hold."""
        del self._accounts[email]

    def revoke(self) -> None:
        """No token that was minted holds any longer."""
        self._tokens.clear()

    def check(self, headers: dict[str, str], query: dict[str, list[str]]) -> None:
        """Raises Denied unless exactly one credential came and it holds."""
        places = [headers.get("authorization"), headers.get("x-goog-api-key"), *query.get("key", [])]
        given = [credential for credential in places if credential]
        if not given:
            raise Denied(401, "UNAUTHENTICATED", "Request is missing required authentication credential.")
        if len(given) > 1:
            raise Denied(400, "INVALID_ARGUMENT", "Multiple authentication credentials received.")
        if given[0].startswith("Bearer "):
            if self._tokens.get(given[0].removeprefix("Bearer "), 0) < time.time():
                raise Denied(
                    401,
                    "UNAUTHENTICATED",
                    "Invalid credentials. Expected OAuth 2 access token.",
                )
        elif given[0] not in self.api_keys:
            raise Denied(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")


def _unpad(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
