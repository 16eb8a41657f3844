"""What the errors of calls mean, for people who read a report."""

from collections.abc import Iterable
from collections.abc import Iterator

from metering.call import ErrorType
from metering.output import visible

MEANINGS: dict[str, str] = {
    ErrorType.CLIENT_CLOSED: "the client hung up before the answer's end",
    ErrorType.CONNECT_FAILED: "the upstream refused the connection, or was not reached within 10 seconds",
    ErrorType.TLS_FAILED: "the upstream's certificate is not trusted, or TLS failed otherwise",
    ErrorType.UPSTREAM_CUT: "the connection broke before the answer's end; what had come was passed on",
    ErrorType.TIMED_OUT: "the upstream sent nothing within the `timeout` of its service",
    ErrorType.BAD_REQUEST: "vertex-tap refused the request, and told the client why",
    ErrorType.NO_CREDENTIALS: "the proxy has no usable credentials; its log says why",
    ErrorType.UNAUTHORIZED: "the key of a client is missing or wrong",
    ErrorType.FORBIDDEN: "the client may not do this, or vertex-tap refused a page of another site or a foreign Host",
    ErrorType.OVER_LIMIT: "the client has used up a limit, its model has no price, or limits could not be checked",
    ErrorType.NO_ROUTE: "no route of the configuration takes this call",
    "RESOURCE_EXHAUSTED": "the quota is used up, or the model has no capacity now; try again later",
    "PERMISSION_DENIED": "the credentials may not use this model or project",
    "UNAUTHENTICATED": "the credentials are missing, wrong or expired",
    "INVALID_ARGUMENT": "something in the request is not valid",
    "FAILED_PRECONDITION": "the project or its billing does not allow this call",
    "NOT_FOUND": "there is no such model here; it may be at another location",
    "DEADLINE_EXCEEDED": "the answer took too long",
    "CANCELLED": "the call was cancelled, usually by the client",
    "UNAVAILABLE": "the service is overloaded or down; try again later",
    "INTERNAL": "an error inside the service",
    "invalid_request_error": "something in the request is not valid",
    "authentication_error": "the API key is missing or wrong",
    "permission_error": "the API key may not do this",
    "not_found_error": "there is no such model",
    "rate_limit_error": "too many calls in a short time; try again later",
    "insufficient_quota": "the account's credit or quota is used up",
    "overloaded_error": "the service is overloaded; try again later",
    "api_error": "an error inside the service",
    "server_error": "an error inside the service",
}
"""`error_type` -> its meaning. Google's codes are those of https://cloud.google.com/apis/design/errors, Anthropic's
those of https://docs.claude.com/en/api/errors, OpenAI's those of https://platform.openai.com/docs/guides/error-codes."""


def meaning(error_type: object) -> str | None:
    """What an error means; None if it is not known."""
    return MEANINGS.get(str(error_type))


def meanings(error_types: Iterable[object]) -> Iterator[str]:
    """A line for each error whose meaning is known, each once: `RESOURCE_EXHAUSTED: the quota is used up ...`."""
    for name in dict.fromkeys(error_types):
        if told := meaning(name):
            yield f"{visible(str(name))}: {told}"
