"""Options that cannot be used, or contradict each other; and the file of services."""

import re
from collections.abc import Iterator

from addons.configuration.settings import OPTIONS
from addons.doctor.finding import OTHERWISE
from addons.doctor.finding import Finding
from addons.doctor.finding import of_problem
from addons.doctor.setup import Setup

OPTIONS_CHECK = "options"
WHOSE = {
    "vertex_credentials": "key file",
    "credentials": "key file",
    "credentials_command": "key file",
    "credentials_env": "key file",
    "vertex_api_key": "credentials",
    "openai_api_key": "credentials",
    "api_key_env": "credentials",
    "vertex_project": "project",
    "project": "project",
    "vertex_location": "location",
    "location": "location",
    "listen_host": "listen address",
}
"""Option, or last member of a path in the file of services -> the check that tells its problems, if that is not
`options`."""
_MEMBER = re.compile(r"gateway_config: .*?:\d+: services\.[^:]*?\.(\w+): ")


def options(setup: Setup) -> Iterator[Finding]:
    """Whatever keeps the proxy from starting and is of no other check."""
    problems = [*problems_of(setup, OPTIONS_CHECK)]
    yield from problems
    if not problems:
        # Problems of these are told by other checks.
        wrong = {problem.partition(":")[0] for problem in setup.problems}
        is_set = [name for name, (default, _) in OPTIONS.items() if setup.given[name] != default and name not in wrong]
        told = f"set and usable: {', '.join(is_set)}" if is_set else "they do not contradict each other"
        yield Finding(OPTIONS_CHECK, True, told)


def problems_of(setup: Setup, check: str, otherwise: str = OTHERWISE) -> Iterator[Finding]:
    """The problems of the configuration that a check tells. `otherwise` is the remedy for those that name none."""
    yield from (of_problem(check, problem, otherwise) for problem in setup.problems if check_of(problem) == check)


def check_of(problem: str) -> str:
    """The name of the check that tells a problem."""
    match = _MEMBER.match(problem)
    if "application default credentials" in problem:
        return "credentials"
    return WHOSE.get(match[1] if match else problem.partition(":")[0], OPTIONS_CHECK)
