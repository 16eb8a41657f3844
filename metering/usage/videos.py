"""Videos: reads the operation that a submission to Veo starts, and the polls of that operation; and OpenAI's videos.

The billed quantity is video seconds: the requested duration times the number of videos. The first poll that sees the
operation done completes the row of the submission (`Settlement`). Polls themselves use nothing.
"""

from metering.call import LONGEST_ID
from metering.call import LONGEST_MODEL
from metering.call import Settlement
from metering.call import count
from metering.call import word
from metering.json_values import both
from metering.json_values import items
from metering.json_values import member
from metering.usage.errors import ERROR_NAMES
from metering.usage.errors import rpc_code
from metering.usage.errors import take_error
from metering.usage.reader import Reader


class SubmissionReader(Reader):
    """Reads the response to `:predictLongRunning`: `{"name": "projects/.../operations/..."}`."""

    wanted = ERROR_NAMES | {"name"}

    def read(self, event: object) -> None:
        if not take_error(self._reading, event):
            self._reading.response_id = word(member(event, "name"), LONGEST_ID)


class PollReader(Reader):
    """Reads the response to `:fetchPredictOperation` and `operations.get`. If the operation failed, the poll has
    not."""

    wanted = ERROR_NAMES | both(
        "name done response videos gcsUri bytesBase64Encoded generateVideoResponse generatedSamples"
    )

    def read(self, event: object) -> None:
        name = word(member(event, "name"), LONGEST_ID)
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


class JobReader(Reader):
    """Reads OpenAI's `{"id": "video_1", "status": "completed", "seconds": "8"}`, which is what a submission and a poll
    answer. A video is billed when it is done."""

    wanted = ERROR_NAMES | frozenset("id model seconds".split())

    def read(self, event: object) -> None:
        reading, status = self._reading, word(member(event, "status"))
        is_error = take_error(reading, event)
        reading.response_id = word(member(event, "id"), LONGEST_ID)
        if reading.response_id and status in ("completed", "failed"):
            reading.model_served = word(member(event, "model"), LONGEST_MODEL)
            reading.finish_reason = status
            reading.video_seconds = None if is_error else count(member(event, "seconds"))


def _rpc_code(error: object) -> str:
    return word(member(error, "status")) or rpc_code(member(error, "code"))
