"""A call keeps the configuration that was there when it came, whatever is read while it is under way."""

import json
from pathlib import Path

from tests.conftest import StartProxy
from tests.http import call
from tests.http import connection
from tests.process import until
from tests.vertex_simulator import Simulator

CHAT = "/v1/chat/completions"
HEADERS = {"content-type": "application/json"}
BODY = json.dumps({"model": "mine", "messages": [{"role": "user", "content": "Hello"}]}).encode()

SCRIPT = """\
import logging

from mitmproxy import ctx

from addons.configuration.settings import OPTIONS
from addons.configuration.settings import read


class Reload:
    '''Reads other options as soon as the head of a call is here, after all addons of the gateway have seen it.'''

    def requestheaders(self, flow):
        given = {name: getattr(ctx.options, name) for name in OPTIONS}
        later = {"gateway_config": "later.yaml", "vertex_location": "europe-west4"}
        ctx.master.addons.get("options").configuration = read(given | later, [])
        logging.getLogger().warning("read anew")


addons = [Reload()]
"""


def test_a_call_under_way_keeps_its_configuration(
    start_proxy: StartProxy, simulator: Simulator, key_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "gateway.yaml").write_text("aliases: {mine: gemini-2.5-flash}")
    (tmp_path / "later.yaml").write_text("aliases: {mine: gemini-2.5-pro}")
    (tmp_path / "reload.py").write_text(SCRIPT)
    proxy = start_proxy(
        "openai_mode=convert",
        "vertex_auth=service_account",
        f"vertex_credentials={key_file}",
        "gateway_config=gateway.yaml",
        mode=f"reverse:{simulator.url}",
        arguments=("-s", str(tmp_path / "reload.py")),
    )
    with connection(proxy.url) as client:
        client.putrequest("POST", CHAT)
        for name, value in (HEADERS | {"content-length": str(len(BODY))}).items():
            client.putheader(name, value)
        client.endheaders()
        until(lambda: "read anew" in proxy.output)
        client.send(BODY)
        answer = client.getresponse()
        assert (answer.status, json.loads(answer.read())["object"]) == (200, "chat.completion")
    row = proxy.new_row()
    assert (row["model"], row["location"]) == ("gemini-2.5-flash", "global")
    assert call(proxy.url, CHAT, BODY, headers=HEADERS).status == 200
    row = proxy.new_row()
    assert (row["model"], row["location"]) == ("gemini-2.5-pro", "europe-west4")
