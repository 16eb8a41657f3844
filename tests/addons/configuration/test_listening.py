import pytest

from addons.configuration.listening import is_here


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("", False), ("x..y", False)],
)
def test_who_can_connect(host: str, here: bool) -> None:
    assert is_here(host) == here
