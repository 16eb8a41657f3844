import pytest

from addons.doctor.finding import Finding
from addons.doctor.finding import of_problem


@pytest.mark.parametrize(
    ("problem", "message", "remedy"),
    [
        ("usage_db: x is a directory; name a file in it", "usage_db: x is a directory", "name a file in it"),
        ("a: there is no such option; did you mean b?", "a: there is no such option", "did you mean b?"),
        ("vertex_project: write the id", "vertex_project: this value cannot be used", "write the id"),
        (
            "gateway_config: g.yaml:3: a.b: write text",
            "gateway_config: g.yaml:3: a.b: this value cannot be used",
            "write text",
        ),
        (
            "g.yaml:3: a.b: appears twice",
            "g.yaml:3: a.b: appears twice",
            "correct it there; docs/configuration.md describes the file of services",
        ),
    ],
)
def test_a_problem_says_what_to_do(problem: str, message: str, remedy: str) -> None:
    assert of_problem("options", problem) == Finding("options", False, message, remedy)
