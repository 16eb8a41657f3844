"""Veo: reads the operation that a submission starts, and the polls of that operation.

The billed quantity is video seconds: the requested duration times the number of videos. The first poll that sees the
operation done completes the row of the submission (`Settlement`). Polls themselves use nothing.
"""

from dataclasses import dataclass

from metering.call import word
from metering.json_values import both
from metering.json_values import items
from metering.json_values import member
from metering.usage.errors import ERROR_NAMES
from metering.usage.errors import rpc_code
from metering.usage.errors import take_error
from metering.usage.reader import Reader

LONGEST_NAME = 512


@dataclass(frozen=True, slots=True)
class Settlement:
    """The result of a finished operation, for the row of its submission. `operation` is its resource name."""

    operation: str
    videos: int | None = None
    error_type: str | None = None


class SubmissionReader(Reader):
    """Reads the response to `:predictLongRunning`: `{"name": "projects/.../operations/..."}`."""

    wanted = ERROR_NAMES | {"name"}

    def read(self, event: object) -> None:
        if not take_error(self._reading, event):
            self._reading.response_id = word(member(event, "name"), LONGEST_NAME)


class PollReader(Reader):
    """Reads the response to `:fetchPredictOperation` and `operations.get`. If the operation failed, the poll has
    not."""

    wanted = ERROR_NAMES | both(
        "name done response videos gcsUri bytesBase64Encoded generateVideoResponse generatedSamples"
    )

    def __init__(self) -> None:
        super().__init__()
        self.settlement: Settlement | None = None

    def read(self, event: object) -> None:
        name = word(member(event, "name"), LONGEST_NAME)
        self._reading.response_id = name
        if not name or member(event, "done") is not True:
            return
        if error := member(event, "error"):
            self.settlement = Settlement(name, error_type=_rpc_code(error))
            return
        response = member(event, "response")
        gemini_api = member(response, "generateVideoResponse")
        videos = items(member(response, "videos")) or items(member(gemini_api, "generatedSamples"))
        self.settlement = Settlement(name, videos=len(videos))


def _rpc_code(error: object) -> str:
    return word(member(error, "status")) or rpc_code(member(error, "code"))
