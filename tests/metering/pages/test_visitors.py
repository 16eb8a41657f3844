import pytest

from metering.pages.visitors import FOREIGN
from metering.pages.visitors import NO_KEY
from metering.pages.visitors import NOT_HERE
from metering.pages.visitors import OTHER_NAME
from metering.pages.visitors import Visit
from metering.pages.visitors import refusal


def visit(client: str = "127.0.0.1", *names: str, name: str = "localhost", **headers: str) -> Visit:
    told = {header.replace("_", "-"): value for header, value in headers.items()}
    return Visit(client, names or ("127.0.0.1:8080",), name, told)


@pytest.mark.parametrize("client", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_this_machine_sees_them(client: str) -> None:
    assert refusal(visit(client)) is None


@pytest.mark.parametrize("client", ["192.168.1.5", "10.0.0.1", "::2", "", "evil.example"])
def test_no_other_machine(client: str) -> None:
    assert refusal(visit(client)) == NOT_HERE


@pytest.mark.parametrize("name", ["localhost:8080", "127.0.0.1", "[::1]:8080", "app.localhost"])
def test_names_of_this_machine(name: str) -> None:
    assert refusal(visit("::1", name)) is None


@pytest.mark.parametrize(
    "names", [("evil.example",), ("vertex-tap.local",), ("192.168.1.5:8080",), ("localhost", "evil.example"), ("",)]
)
def test_no_other_name(names: tuple[str, ...]) -> None:
    assert refusal(visit("127.0.0.1", *names)) == OTHER_NAME


def test_the_name_of_the_forward_proxy() -> None:
    assert refusal(visit("127.0.0.1", "vertex-tap.local", name="vertex-tap.local")) is None
    assert refusal(visit("127.0.0.1", "Vertex-Tap.local:80", name="vertex-tap.local")) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "none"},
        {"sec_fetch_site": "same-origin", "origin": "http://127.0.0.1:8080"},
    ],
)
def test_pages_of_ours(headers: dict[str, str]) -> None:
    assert refusal(visit(**headers)) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "same-origin, cross-site"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"origin": ""},
    ],
)
def test_no_page_of_another_site(headers: dict[str, str]) -> None:
    assert refusal(visit(**headers)) == FOREIGN


def test_what_a_visitor_is_told() -> None:
    """Each says what to do."""
    assert [refusal(visit("10.0.0.1")), refusal(visit("::1", "evil.example")), refusal(visit(origin="null"))] == [
        (
            "These pages are shown to this machine only; open http://127.0.0.1 with the proxy's port, on that machine.",
            403,
        ),
        (
            "These pages are shown under a name of this machine only, such as localhost or 127.0.0.1; Host has another"
            " one.",
            403,
        ),
        ("These pages are not shown to pages of other sites; open the address in a window of its own.", 403),
    ]
    assert NO_KEY.status == 401
