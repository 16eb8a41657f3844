import logging

import pytest

from addons.call_lines import CallLines
from addons.exchange import Exchange
from metering.call import Call
from metering.written import Kept
from tests.addons.test_metrics import CONFIGURATION


def test_a_line_for_each_call(caplog: pytest.LogCaptureFixture) -> None:
    call = Call(started_at=1, state="done", operation="generateContent", model="g\x1b", status=200, input_tokens=2)
    with caplog.at_level(logging.INFO):
        CallLines(lambda call: 0.5).ended(Exchange(call, None, "", "", None, CONFIGURATION), Kept.COMMITTED, None)
    assert caplog.messages == [r"vertex-tap: generateContent g\x1b 200 done, 2 in, $0.5"]
