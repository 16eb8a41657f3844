"""Veo: reads the operation that a submission starts, and the polls of that operation.

The billed quantity is video seconds: the requested duration times the number of videos. The first poll that sees the
operation done completes the row of the submission (`Settlement`). Polls themselves use nothing.
"""

from metering.call import Settlement
from metering.call import word
from metering.json_values import both
from metering.json_values import items
from metering.json_values import member
from metering.usage.errors import ERROR_NAMES
from metering.usage.errors import rpc_code
from metering.usage.errors import take_error
from metering.usage.reader import Reader

LONGEST_NAME = 512


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

    def read(self, event: object) -> None:
        name = word(member(event, "name"), LONGEST_NAME)
        self._reading.response_id = name
        if not name or member(event, "done") is not True:
            return
        if error := member(event, "error"):
            self._settlement = Settlement(name, error_type=_rpc_code(error))
            return
        response = member(event, "response")
        gemini_api = member(response, "generateVideoResponse")
        videos = items(member(response, "videos")) or items(member(gemini_api, "generatedSamples"))
        self._settlement = Settlement(name, videos=len(videos))


def _rpc_code(error: object) -> str:
    return word(member(error, "status")) or rpc_code(member(error, "code"))
