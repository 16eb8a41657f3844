"""Calls that have met the addons which say what answers them."""

import json
from pathlib import Path

from mitmproxy import http
from mitmproxy.proxy import mode_specs
from mitmproxy.test import tflow

from addons.choose import Choose
from addons.classify import Classify
from addons.configuration.settings import read
from addons.exchange import Exchange
from addons.jobs import Jobs
from addons.options import Options
from addons.route import Route
from addons.translation import videos
from tests.configuration import DEFAULTS

GOOGLE = "https://aiplatform.googleapis.com"
FILE = """\
services:
  prod:   {provider: vertex, openai: convert, project: test-project}
  native: {provider: vertex, openai: observe}
  qwen:   {provider: openai, base_url: "https://qwen.example/compatible/v1"}
routes:
  - {base_path: /team, service: qwen}
  - {model: "qwen*", service: qwen}
  - {surface: openai, model: "gemini-1*", service: native}
  - {model: "gemini*", service: prod}
  - {model: "veo*", service: prod}
  - {publisher: openai, model: "gpt*", service: qwen}
"""
DEFAULT = "services:\n  default: {openai: observe}\n"
"""A service for what no route takes, which passes it on."""
JSON = "application/json"
OPENAI = "https://api.openai.com"
JOB = videos.id_of("projects/p/locations/l/publishers/google/models/veo-3.0-generate-001/operations/1")


class Routed:
    """A call whose head, and then body, has met the route."""

    def __init__(self, folder: Path, method: str, path: str, *, has_default: bool = True, **options: str) -> None:
        file = folder / "gateway.yaml"
        is_described = not has_default or "openai_mode" in options
        file.write_text(FILE if is_described else FILE.replace("services:\n", DEFAULT))
        given = {"usage_db": str(folder / "usage.db"), "gateway_config": str(file), **options}
        settings = Options()
        settings.configuration = read(DEFAULTS | given, [])
        self._classify = Classify(settings)
        exchanges = self._classify.exchanges
        self._route, self._choose = Route(exchanges), Choose(exchanges, Jobs(lambda ledger, job: None))
        self.flow = tflow.tflow(req=http.Request.make(method, "http://127.0.0.1", headers=[(b"host", b"127.0.0.1")]))
        self.flow.request.path = path
        self.flow.client_conn.proxy_mode = mode_specs.ProxyMode.parse(f"reverse:{GOOGLE}")
        self._classify.requestheaders(self.flow)
        self._route.requestheaders(self.flow)

    @property
    def exchange(self) -> Exchange:
        return self._classify.exchanges[self.flow]

    def complete(self, body: bytes = b"", content_type: str = JSON, **headers: str) -> None:
        self.flow.request.headers["content-type"] = content_type
        self.flow.request.headers.update(headers)
        self.flow.request.raw_content = body
        self._choose.request(self.flow)


def said(model: object) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": "Hi"}], "model": model}).encode()
