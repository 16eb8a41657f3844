"""OpenAI's errors."""

from typing import Any

from tests.vertex_simulator.exchange import Answer


class Refused(Exception):
    """Raised with what OpenAI's error object has."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status
        self.type = "invalid_request_error"

    def answer(self) -> Answer:
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return Answer.json({"error": error}, self.status)


def need(holds: object, message: str, param: str | None = None, code: str | None = None) -> None:
    """Raises Refused if it does not hold."""
    if not holds:
        raise Refused(message, param, code)


def known(body: dict[str, Any], names: frozenset[str], where: str = "") -> None:
    """Raises Refused for the first member that has no name of these."""
    for name in body:
        need(name in names, f"Unknown parameter: '{where}{name}'.", f"{where}{name}", "unknown_parameter")


def one_of(value: object, values: tuple[object, ...], param: str) -> None:
    """Raises Refused if a value that was given is none of these."""
    listed = ", ".join(f"'{one}'" for one in values)
    need(
        value is None or value in values,
        f"Invalid value: '{value}'. Supported values are: {listed}.",
        param,
        "invalid_value",
    )
