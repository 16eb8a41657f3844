"""How far a call has come: the states of an `Exchange`, and how they may change."""

from enum import Enum


class Progress(Enum):
    """How far a call has come. `MOVES` lists the permitted changes."""

    ASKED = "asked"
    """The request headers are complete."""
    AWAITS_SERVICE = "awaits service"
    """Several services may answer; they are tried in turn when the body is complete."""
    AWAITS_BODY = "awaits body"
    """The request body decides which service answers, or is to be converted. Nothing is sent before it is complete."""
    SENT = "sent"
    """The request goes upstream."""
    STREAMED = "streamed"
    """The response is streamed to the client."""
    HELD = "held"
    """The response is kept until it is complete, as the client gets a converted one."""
    REFUSED = "refused"
    """This proxy has answered with an error, and nothing was sent upstream."""
    ANSWERED = "answered"
    """This proxy or another addon has answered, without an upstream."""
    SETTLED = "settled"
    """The ledger row says how the call has ended."""


MOVES: dict[Progress, frozenset[Progress]] = {
    Progress.ASKED: frozenset(
        {
            Progress.AWAITS_SERVICE,
            Progress.AWAITS_BODY,
            Progress.SENT,
            Progress.REFUSED,
            Progress.ANSWERED,
            Progress.SETTLED,
        }
    ),
    Progress.AWAITS_SERVICE: frozenset(
        {Progress.ASKED, Progress.AWAITS_BODY, Progress.REFUSED, Progress.ANSWERED, Progress.SETTLED}
    ),
    Progress.AWAITS_BODY: frozenset(
        {
            Progress.ASKED,
            Progress.AWAITS_SERVICE,
            Progress.SENT,
            Progress.REFUSED,
            Progress.ANSWERED,
            Progress.SETTLED,
        }
    ),
    # It has failed, and the next service is tried.
    Progress.SENT: frozenset(
        {Progress.AWAITS_SERVICE, Progress.STREAMED, Progress.HELD, Progress.ANSWERED, Progress.SETTLED}
    ),
    Progress.STREAMED: frozenset({Progress.HELD, Progress.SETTLED}),
    Progress.HELD: frozenset({Progress.STREAMED, Progress.SETTLED}),
    # Nothing was sent, and the next service is tried.
    Progress.REFUSED: frozenset({Progress.AWAITS_SERVICE, Progress.SETTLED}),
    Progress.ANSWERED: frozenset({Progress.SETTLED}),
    Progress.SETTLED: frozenset(),
}
"""Progress -> the states that may follow it. Staying in a state is always allowed."""
