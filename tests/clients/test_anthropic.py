"""anthropic[vertex] through reverse mode: the same results as without the proxy, and N of N."""

import pytest

from tests.clients.conftest import RunClient
from tests.clients.conftest import check_rows
from tests.clients.conftest import recent
from tests.conftest import StartProxy
from tests.process import until
from tests.vertex_simulator import Simulator

CALLS = ["unary", "stream", "raw_stream", "count"]


@pytest.mark.parametrize("base", ["", "/vertex"])
def test_reverse(start_proxy: StartProxy, simulator: Simulator, run_client: RunClient, base: str) -> None:
    asked = {"token": simulator.credentials.token(), "calls": CALLS}
    expected = run_client("anthropic_calls.py", {"base_url": f"{simulator.url}/v1"} | asked)
    proxy = start_proxy("gateway_base_path=/vertex", mode=f"reverse:{simulator.url}")
    before = len(simulator.seen)
    assert run_client("anthropic_calls.py", {"base_url": f"{proxy.url}{base}/v1"} | asked) == expected
    until(lambda: not proxy.rows("state = 'open'"))
    rows, seen = recent(proxy, simulator, before)
    check_rows(rows, seen)
    assert [row["operation"] for row in rows] == ["rawPredict", "streamRawPredict", "streamRawPredict", "rawPredict"]
    assert {row["publisher"] for row in rows} == {"anthropic"}
    assert [row["usage_state"] for row in rows] == ["final", "final", "final", "not_applicable"]
