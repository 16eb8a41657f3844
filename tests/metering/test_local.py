import pytest

from metering.local import is_local

HOSTS = {
    "127.0.0.1": True,
    "127.0.0.1:8080": True,
    "127.1.2.3:8080": True,
    "localhost": True,
    "LocalHost:8080": True,
    "localhost.": True,
    "localhost.:8080": True,
    "app.localhost:8080": True,
    "[::1]:8080": True,
    "[0:0:0:0:0:0:0:1]": True,
    "[::ffff:127.0.0.1]:8080": True,
    "[::FFFF:7f00:1]:8080": True,
    "": False,
    ":8080": False,
    "evil.example": False,
    "evil.example:8080": False,
    "localhost.evil.example": False,
    "evil-localhost": False,
    "127.0.0.1.nip.io": False,
    "127.0.0.1.evil.example:8080": False,
    "localhost@evil.example": False,
    "evil.example@localhost": False,
    "user:pw@127.0.0.1": False,
    "localhost evil.example": False,
    "localhost, evil.example": False,
    "localhost:8080:80": False,
    "localhost:x": False,
    "localhost/": False,
    "http://localhost": False,
    "::1": False,
    "[::1": False,
    "[::2]:8080": False,
    "[::ffff:10.0.0.1]": False,
    "0.0.0.0:8080": False,
    "192.168.1.5": False,
    "2130706433": False,
    "0x7f000001": False,
    "0177.0.0.1": False,
    "127.1": False,
    "localhost..": False,
    ".localhost.": True,
    "local\u0131host": False,
    "locａlhost": False,
}


@pytest.mark.parametrize("host", HOSTS)
def test_is_local(host: str) -> None:
    assert is_local(host) == HOSTS[host]


def test_the_name_that_a_listener_has_is_its_own() -> None:
    assert is_local("MyHost:8080", "myhost")
    assert not is_local("other:8080", "myhost")
