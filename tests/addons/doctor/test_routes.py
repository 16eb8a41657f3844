import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.doctor.routes import covers
from addons.doctor.routes import routes
from tests.addons.doctor.conftest import SetupOf
from tests.addons.doctor.conftest import faults

SERVICES = """
services:
  prod: {provider: vertex}
  other: {provider: openai, base_url: "https://llm.example/v1"}
routes:
"""


def test_routes_that_nothing_reaches(setup_of: SetupOf) -> None:
    setup = setup_of(
        yaml=SERVICES
        + """
  - {model: "gemini-2.5*", service: prod}
  - {model: "gemini-2.5-pro", service: other}
  - {base_path: /a, model: "gemini-2.5-*", service: other}
  - {model: "*", service: other}
  - {surface: openai, service: prod}
  - {surface: openai, publisher: google, service: other}
"""
    )
    found = faults(routes(setup))
    assert [one.message for one in found] == [
        f"route {number} is never reached: route {earlier} takes all of its calls"
        for number, earlier in (
            ("2 (model: gemini-2.5-pro, service: other)", 1),
            ("3 (base_path: /a, model: gemini-2.5-*, service: other)", 1),
            ("6 (surface: openai, publisher: google, service: other)", 5),
        )
    ]
    assert found[2].remedy == "move it before route 5, or delete it"


def test_routes_of_a_file_with_problems(setup_of: SetupOf) -> None:
    broken = '  - {model: "a*", service: prod}\n  - {model: "ab", service: prod}\naliases: [x]\n'
    setup = setup_of(yaml=SERVICES + broken)
    assert len(setup.problems) == 1
    assert "route 2" in faults(routes(setup))[0].message


def test_a_service_that_no_route_names(setup_of: SetupOf) -> None:
    (found,) = routes(setup_of(yaml=SERVICES + "  - {model: a, service: prod}"))
    assert (found.ok, found.message) == (True, "no route leads to other")
    assert "service: other" in found.remedy


def test_none(setup_of: SetupOf) -> None:
    (found,) = routes(setup_of())
    assert (found.ok, found.message, found.remedy) == (True, "there are none", "")


@pytest.mark.parametrize(
    ("glob", "other", "expected"),
    [
        (None, None, True),
        (None, "a", True),
        ("*", None, False),
        ("*", "a*", True),
        ("a*", "a", True),
        ("a*", "*", False),
        ("a*c", "ab*c", True),
        ("a?", "a*", False),
        ("a?", "ab", True),
        ("[ab]*", "a*", False),
        ("a*", "[ab]*", False),
        ("*a*", "?a[bc]", True),
    ],
)
def test_globs(glob: str | None, other: str | None, expected: bool) -> None:
    assert covers(glob, other) is expected


GLOBS = st.text("ab*?", max_size=5)


@given(GLOBS, GLOBS, st.text("ab", max_size=6))
def test_what_a_glob_covers_it_matches(glob: str, other: str, text: str) -> None:
    if covers(glob, other) and fnmatch.fnmatchcase(text, other):
        assert fnmatch.fnmatchcase(text, glob)
