import pytest

from metering.pages import server


def test_it_listens_on_this_machine_only() -> None:
    with server.listen(0) as listening:
        host, port = listening.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(OSError, match="in use"):
            server.listen(port)
