import os
import re
import time
from pathlib import Path

import pytest

from addons.doctor.clock import REMEDY
from addons.doctor.clock import clock
from tests.addons.doctor.answering import Answering
from tests.addons.doctor.conftest import SetupOf
from tests.addons.doctor.conftest import fault
from tests.ledgers import new_ledger

HOUR = 3600


def test_offline_it_is_not_compared(setup_of: SetupOf, host: Answering) -> None:
    (found,) = clock(setup_of(vertex_endpoint=host.url))
    assert (found.check, found.ok) == ("clock", True)
    assert found.message.endswith("UTC; --online compares it with that of the hosts")
    assert host.asked == []


def test_a_file_of_the_future(setup_of: SetupOf, home: Path) -> None:
    """The clock has been set back, or is not set after a start without a battery."""
    new_ledger(home / "usage.db")
    later = time.time() + HOUR
    os.utime(home / "usage.db", (later, later))
    found = fault(clock(setup_of()))
    assert "but usage.db was written later" in found.message
    assert found.remedy == REMEDY


@pytest.mark.parametrize(
    ("ahead_s", "told"), [(HOUR, "behind that of 127.0.0.1"), (-HOUR, "ahead of that of 127.0.0.1")]
)
def test_another_time_than_a_host(setup_of: SetupOf, host: Answering, ahead_s: float, told: str) -> None:
    host.ahead_s = ahead_s
    found = fault(clock(setup_of(vertex_endpoint=host.url, is_online=True)))
    assert told in found.message
    assert re.match(r"it is 3,[56]\d\d seconds (ahead of|behind) that of 127\.0\.0\.1$", found.message)
    assert found.remedy == REMEDY
    assert host.asked == ["HEAD /"]


def test_the_same_time(setup_of: SetupOf, host: Answering) -> None:
    (found,) = clock(setup_of(vertex_endpoint=host.url, is_online=True))
    assert (found.ok, found.message) == (True, "it agrees with that of 127.0.0.1")


@pytest.mark.parametrize("url", ["", "http://nowhere.invalid"])
def test_no_host_tells_the_time(setup_of: SetupOf, host: Answering, url: str) -> None:
    host.ahead_s = None
    (found,) = clock(setup_of(vertex_endpoint=url or host.url, is_online=True))
    assert (found.ok, found.message) == (True, "no host tells the time")
