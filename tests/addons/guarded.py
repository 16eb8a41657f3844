"""One proxy with many clients, for the tests of who may do what."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.http import HELLO
from tests.http import Response
from tests.http import call
from tests.process import Proxy
from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Simulator

KEYS = {
    "OLD_KEY": "vt-team-a-old-0123456789",
    "NEW_KEY": "vt-team-a-new-0123456789",
    "PRO_KEY": "vt-pro-0123456789",
    "FAR_KEY": "vt-far-0123456789",
    "SERVICE_KEY": "vt-service-0123456789",
    "ROUTED_KEY": "vt-routed-0123456789",
}
A, PRO, FAR, SERVICE, ROUTED = (KEYS[name] for name in ("NEW_KEY", "PRO_KEY", "FAR_KEY", "SERVICE_KEY", "ROUTED_KEY"))
FLASH = "vt-flash-0123456789"
UPSTREAM = {"QWEN_API_KEY": OPENAI_KEY}
CLIENTS = f"""\
allow_from: [127.0.0.0/8, 10.0.0.0/8]
trusted_proxies: [127.0.0.1, 10.0.0.1]
clients:
  - {{name: team-a, key_env: [OLD_KEY, NEW_KEY], pages: true}}
  - {{name: flash, key_sha256: {sha256(FLASH.encode()).hexdigest()}, models: ["gemini-2.5-flash*", fast]}}
  - {{name: pro, key_env: PRO_KEY, models: ["*-pro", "qwen*", "llama-*", "openai/*"]}}
  - {{name: far, key_env: FAR_KEY, allow_from: [10.1.0.0/16], pages: true}}
  - {{name: service, key_env: SERVICE_KEY, services: [qwen]}}
  - {{name: routed, key_env: ROUTED_KEY}}
"""
SERVICES = """\
services:
  prod: {{auth: service_account, credentials: {key_file}}}
  own:  {{auth: passthrough, project: test-project}}
  qwen: {{provider: openai, base_url: "{url}/v1", api_key_env: QWEN_API_KEY}}
"""
ROUTES = """\
routes:
  - {base_path: /own, service: own}
  - {client: routed, model: "gemini*", service: qwen}
  - {model: "qwen*", service: qwen}
  - {model: "gemini*", service: prod}
  - {model: "meta/*", service: prod}
  - {publisher: openai, service: prod}
aliases: {gpt-4o: gemini-2.5-pro, fast: gemini-2.5-flash-lite, cheap: qwen-turbo}
models: [gemini-2.5-flash, gemini-2.5-pro]
"""

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
NATIVE = "/v1/publishers/google/models/gemini-2.5-flash:generateContent"
GEMINI = "/v1beta/models/gemini-2.5-flash:generateContent"
NOBODY = {"x-goog-api-key": ""}
"""The header that `tests.http.call` sends otherwise is left out."""


def options(simulator: Simulator, key_file: Path, folder: Path, more: str = "") -> list[str]:
    """The options of a proxy with these clients. `more` is added to its file."""
    file = folder / "gateway.yaml"
    file.write_text(SERVICES.format(key_file=key_file, url=simulator.url) + more + ROUTES + CLIENTS)
    return [f"gateway_config={file}"]


def bearer(key: str) -> dict[str, str]:
    return NOBODY | {"authorization": f"Bearer {key}"}


def said(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], **more}


def ask(proxy: Proxy, path: str, model: str, headers: dict[str, str]) -> Response:
    """Makes a call for a model, in the dialect of its path."""
    if path == CHAT:
        return call(proxy.url, path, said(model), headers=headers)
    if path == MESSAGES:
        return call(proxy.url, path, said(model, max_tokens=10), headers=headers)
    return call(proxy.url, path.replace("gemini-2.5-flash", model), HELLO, headers=headers)


def message_of(answer: Response) -> str:
    return str(json.loads(answer.body)["error"]["message"])
