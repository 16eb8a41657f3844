"""A call's way through the addons: each that does something to it does so at one place, and none comes twice."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http import HELLO
from tests.http import MODEL
from tests.http import connection
from tests.http import send
from tests.process import Proxy
from tests.vertex_simulator import Simulator

SCRIPT = """
import inspect, json, pathlib
from mitmproxy import ctx

ways = {}


def state(exchanges, flow):
    "All that an addon may change of a call that has not been answered."
    request, exchange = flow.request, exchanges.get(flow)
    told = [request.method, request.host, request.path, request.headers.fields, request.raw_content]
    if exchange:
        for holder in (exchange, exchange.metered, exchange.call):
            told += [getattr(holder, name) for name in holder.__dataclass_fields__]
    return [list(each) if isinstance(each, list) else each for each in told]


def watch(addon, hook, exchanges):
    theirs = getattr(addon, hook)

    async def ours(flow):
        before = state(exchanges, flow)
        done = theirs(flow)
        if inspect.isawaitable(done):
            await done
        if state(exchanges, flow) != before:
            ways.setdefault(flow.id, []).append(type(addon).__name__)

    setattr(addon, hook, ours)


class Watch:
    def running(self):
        exchanges = ctx.master.addons.get("classify").exchanges
        chain = [ctx.master.addons.get(name) for name in ADDONS]
        for addon in chain:
            for hook in ("requestheaders", "request"):
                if hasattr(addon, hook):
                    watch(addon, hook, exchanges)

    def responseheaders(self, flow):
        with pathlib.Path("ways").open("a") as file:
            file.write(json.dumps(ways.pop(flow.id)) + "\\n")


addons = [Watch()]
"""
"""A script beside ours that notes which addons have changed anything of a call, in order."""

ADDONS = (
    "layers",
    "entrance",
    "classify",
    "drain",
    "access",
    "route",
    "choose",
    "credentials",
    "meter",
    "rewrite",
    "live",
    "recorder",
)
CHAT: dict[str, object] = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}]}
CONVERTED = ["Classify", "Route", "Choose", "Credentials", "Meter", "Rewrite", "Recorder"]
NATIVE = ["Classify", "Route", "Credentials", "Meter", "Recorder"]
WAYS: dict[str, tuple[str, object, list[str]]] = {
    "chat": ("/v1/chat/completions", CHAT, CONVERTED),
    "streamed chat": ("/v1/chat/completions", CHAT | {"stream": True}, CONVERTED),
    "responses": ("/v1/responses", {"model": "gemini-2.5-flash", "input": "Hello"}, CONVERTED),
    "embeddings": ("/v1/embeddings", {"model": "text-embedding-005", "input": "Hello"}, CONVERTED),
    "native": (f"{MODEL}:generateContent", HELLO, NATIVE),
    "native stream": (f"{MODEL}:streamGenerateContent?alt=sse", HELLO, NATIVE),
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, confdir: Path, simulator: Simulator) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("way")
    (folder / "script.py").write_text(f"ADDONS = {ADDONS!r}\n{SCRIPT}")
    key = folder / "key.json"
    key.write_text(json.dumps(simulator.credentials.service_account(simulator.token_uri)))
    options = ("openai_mode=convert", "vertex_auth=service_account", f"vertex_credentials={key}")
    arguments = ("-s", str(folder / "script.py"))
    mode = f"reverse:{simulator.url}"
    with Proxy(*options, folder=folder, confdir=confdir, mode=mode, arguments=arguments) as running:
        yield running


@pytest.mark.parametrize("name", WAYS)
def test_no_addon_is_met_twice(watched: Proxy, name: str) -> None:
    path, body, way = WAYS[name]
    with connection(watched.url) as client:
        assert send(client, path, body).status == 200
    met = json.loads((watched.folder / "ways").read_text().splitlines()[-1])
    assert met == way
