"""A provider dies while many clients call it: nobody is told, and the ledger has what both providers served."""

import contextlib
import http.client
import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from metering.database import open_for_reading
from metering.verify import verify
from tests.conftest import StartProxy
from tests.http import HELLO
from tests.http import call
from tests.process import until
from tests.vertex_simulator import OPENAI_KEY
from tests.vertex_simulator import Credentials
from tests.vertex_simulator import Simulator

CLIENTS = 16
CALLS = 8
"""Of each client."""


def test_a_provider_that_dies(start_proxy: StartProxy, tmp_path: Path) -> None:
    stack = contextlib.ExitStack()
    with Simulator(name="qwen") as qwen, stack:
        google = stack.enter_context(Simulator(credentials=Credentials()))
        (tmp_path / "key.json").write_text(json.dumps(google.credentials.service_account(google.token_uri)))
        services = {
            "prod": {"auth": "service_account", "credentials": "key.json"},
            "qwen": {"provider": "openai", "base_url": f"{qwen.url}/v1", "api_key_env": "QWEN_KEY"},
        }
        routes = [{"service": "prod", "fallback": ["qwen"]}]
        (tmp_path / "gateway.yaml").write_text(json.dumps({"services": services, "routes": routes}))
        env = {"QWEN_KEY": OPENAI_KEY}
        proxy = start_proxy("gateway_config=gateway.yaml", mode=f"reverse:{google.url}", serve=True, env=env)

        def one(client: int) -> list[tuple[str, int, bool]]:
            told = []
            for number in range(CALLS):
                model, streamed = f"gemini-2.5-c{client}-n{number}", bool(number % 2)
                if client % 2:
                    path = f"/v1beta1/publishers/google/models/{model}:"
                    path += "streamGenerateContent?alt=sse" if streamed else "generateContent"
                    body: dict[str, Any] = HELLO
                else:
                    path = "/v1/chat/completions"
                    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": streamed}
                    body |= {"stream_options": {"include_usage": True}} if streamed else {}
                status, content = 0, b""
                with contextlib.suppress(http.client.IncompleteRead):
                    answer = call(proxy.url, path, body, headers={"x-goog-api-key": ""}, plan={"pause": 0.01})
                    status, content = answer.status, answer.body
                told.append((model, status, b"ello" in content))
            return told

        with ThreadPoolExecutor(CLIENTS) as clients:
            running = [clients.submit(one, client) for client in range(CLIENTS)]
            until(lambda: len(google.seen) > CLIENTS * CALLS // 3, 60)
            stack.close()
            answers = [answer for future in running for answer in future.result()]
    rows = {row["model"]: row for row in proxy.rows()}
    assert len(proxy.rows()) == len(rows) == CLIENTS * CALLS
    broken = [model for model, *told in answers if told != [200, True]]
    # Only streams that had got content broke off.
    assert [rows[model]["ttft_us"] is None for model in broken] == [False] * len(broken)
    with closing(open_for_reading(proxy.ledger)) as db:
        assert not any(verify(db, lambda _: True).values())
        tries = [dict(row) for row in db.execute("SELECT * FROM attempts")]
    tried = {row["call_id"] for row in tries}
    sent = [one for one in tries if one["error_type"] != "connect_failed"]
    sent += [row for row in rows.values() if row["id"] not in tried]
    served = {"prod": _served(google), "qwen": _served(qwen)}
    told = Counter((one["service"], one["model"]) for one in sent)
    unheard = told - Counter((name, model) for name, answers in served.items() for model in answers)
    # What the provider had not read when it died has no status.
    unanswered = {(one["service"], one["model"]) for one in tries if one["status"] is None}
    assert unheard.keys() <= unanswered
    assert told.total() - unheard.total() == sum(map(len, served.values()))
    assert {row["service"] for row in rows.values()} == {"prod", "qwen"}
    whole = {model: row["total_tokens"] for model, row in rows.items() if row["state"] == "done"}
    assert whole == {model: served[rows[model]["service"]][model] for model in whole}


def _served(upstream: Simulator) -> dict[str, int | None]:
    """The model of each call that a provider has seen, and how many tokens it has told."""
    told = {}
    for seen in upstream.seen:
        if seen.request.path != "/token":
            named = re.search(r"/models/([^:/]+):", seen.request.path)
            model = named[1] if named else seen.request.json()["model"]
            told[model] = seen.answer.reported["total_tokens"] if seen.answer else None
    return told
