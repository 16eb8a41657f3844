from pathlib import Path

import pytest

from addons.configuration.file import ConfigurationError
from addons.configuration.limits import Storage
from metering.allowance import Unit
from metering.allowance import allowance
from tests.configuration import gateway

CLIENT = 'clients:\n  - {{name: a, key_sha256: "' + "0" * 64 + '", limits: {limits}}}\n'


def test_limits_of_a_client(tmp_path: Path) -> None:
    made = gateway(tmp_path, CLIENT.format(limits="{requests: 60/minute, tokens: 2000000/day, cost: 20/day}"))
    assert made.callers.clients[0].limits == (
        allowance(Unit.REQUESTS, "60/minute"),
        allowance(Unit.TOKENS, "2000000/day"),
        allowance(Unit.COST, "20/day"),
    )
    made = gateway(tmp_path, CLIENT.format(limits="{cost: 0.5 / hour}"))
    assert made.callers.clients[0].limits == (allowance(Unit.COST, "0.5 / hour"),)
    assert gateway(tmp_path, CLIENT.format(limits="{}")).callers.clients[0].limits == ()


STORAGES = {
    "{}": Storage(),
    "{when_away: open}": Storage(None, True),
    "{storage: 'redis://127.0.0.1:6379/0'}": Storage("redis://127.0.0.1:6379/0"),
    "{storage: 'redis://127.0.0.1', when_away: closed}": Storage("redis://127.0.0.1"),
    "{storage: 'rediss://u:p@[::1]/2'}": Storage("rediss://u:p@[::1]/2"),
    "{storage: 'valkey://h/'}": Storage("redis://h/"),
    "{storage: 'valkeys://h?health_check_interval=10'}": Storage("rediss://h?health_check_interval=10"),
}


def test_where_use_is_counted(tmp_path: Path) -> None:
    assert {text: gateway(tmp_path, f"limits: {text}").limits for text in STORAGES} == STORAGES
    assert gateway(tmp_path, "models: [a]").limits == Storage()
    assert "Secret" not in repr(Storage("redis://:Secret@h"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("limits: {storage: 'http://h'}", "limits.storage: write the URL of a Redis or Valkey server"),
        ("limits: {storage: 'redis://'}", "limits.storage: write the URL of a Redis or Valkey server"),
        ("limits: {storage: 'redis://:Secret@h:99999'}", "limits.storage: write the URL of a Redis or Valkey server"),
        ("limits: {storage: 'redis://:Secret@h/zero'}", "limits.storage: write the URL of a Redis or Valkey server"),
        ("limits: {storage: 'redis://:Secret@[h/0'}", "limits.storage: write the URL of a Redis or Valkey server"),
        ("limits: {storage: 'redis://:Secret@h?bogus=1'}", "limits.storage: what follows the ? is nothing"),
        ("limits: {storage: 'redis://h?socket_timeout=Secret'}", "limits.storage: what follows the ? is nothing"),
        ("limits: {storage: 'redis://h?protocol=9'}", "limits.storage: what follows the ? is nothing"),
        ("limits: {storage: [redis]}", "limits.storage: write text"),
        ("limits: {when_away: ajar}", "limits.when_away: write 'closed' or 'open'"),
        ("limits: {requests: 60/minute}", "limits.requests: there is no such key"),
        (CLIENT.format(limits="{requests: [60]}"), "clients[0].limits.requests: write text"),
        (CLIENT.format(limits="{requests: 60/minutes}"), "did you mean minute?"),
        (
            CLIENT.format(limits="{token: 60/minute}"),
            "limits.token: there is no such key; did you mean tokens?",
        ),
        (CLIENT.format(limits="60/minute"), "clients[0].limits: write names and values"),
    ],
)
def test_what_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        gateway(tmp_path, text)
    assert problem in str(raised.value)
    assert "Secret" not in str(raised.value)
