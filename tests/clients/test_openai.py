"""The openai SDK, Python and JavaScript, observed on its way to an OpenAI upstream: nothing changes, and N of N."""

import pytest

from tests.clients.conftest import RunClient
from tests.clients.conftest import check_rows
from tests.clients.conftest import recent
from tests.conftest import StartProxy
from tests.process import until
from tests.vertex_simulator import Simulator

BOTH = (
    "chat stream stream_usage responses responses_stream background embeddings images edit models unauthorised".split()
)
CALLS = {"openai_calls.py": [*BOTH, "parallel"], "openai_calls.mjs": BOTH}


@pytest.mark.parametrize("base", ["", "/openai"])
@pytest.mark.parametrize("script", CALLS)
def test_observed(start_proxy: StartProxy, simulator: Simulator, run_client: RunClient, script: str, base: str) -> None:
    calls = CALLS[script]
    expected = run_client(script, {"base_url": f"{simulator.url}/v1", "calls": calls})
    proxy = start_proxy("gateway_base_path=/openai", mode=f"reverse:{simulator.url}")
    before = len(simulator.seen)
    assert run_client(script, {"base_url": f"{proxy.url}{base}/v1", "calls": calls}) == expected
    until(lambda: not proxy.rows("state = 'open'"))
    rows, seen = recent(proxy, simulator, before)
    assert len(rows) >= len(calls)
    check_rows(rows, seen)
    assert {row["surface"] for row in rows} == {"openai"}
    assert [row["error_type"] for row in rows if row["status"] == 401] == ["invalid_request_error"]
