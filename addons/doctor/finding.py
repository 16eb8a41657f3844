"""What a check has found, in words."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One line of the doctor's answer."""

    check: str
    """The name of the check, such as `key file`."""
    ok: bool
    message: str
    """What is so."""
    remedy: str = ""
    """What to do. Beside `ok` it is advice."""


OTHERWISE = "correct it there; docs/configuration.md describes the file of services"


def of_problem(check: str, problem: str, otherwise: str = OTHERWISE) -> Finding:
    """The finding for a message of a configuration that cannot be used.

    Such messages have one of three forms: `what is wrong; what to do`, `where: write ...`, and `where: what is wrong`.
    `otherwise` is the remedy for the last of these.
    """
    message, _, remedy = problem.partition("; ")
    if remedy:
        return Finding(check, False, message, remedy)
    where, colon, told = problem.rpartition(": ")
    if colon and told.startswith("write "):
        return Finding(check, False, f"{where}: this value cannot be used", told)
    return Finding(check, False, problem, otherwise)
