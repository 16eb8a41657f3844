"""Reads batch jobs: what begins one, and what tells its progress.

- OpenAI's `/v1/batches`: `{"id", "status", "usage", "request_counts"}`, with the usage of all requests
- Vertex's `batchPredictionJobs`: `{"name", "state", "completionStats"}`, which tells how many requests were answered,
  not what they used: their answers are in Cloud Storage (discovery document of aiplatform v1)
- the Gemini API's `:batchGenerateContent` and `batches`: `{"name", "metadata": {"state", "batchStats"}, "response"}`,
  with the answers in it if the requests were sent inline, each with its `usageMetadata`

A job is done if the reading has a finish reason: the job's last state. Until then it tells no counts.
"""

from functools import reduce

from metering.call import COUNTED
from metering.call import LONGEST_ID
from metering.call import MODALITIES
from metering.call import Reading
from metering.call import count
from metering.call import word
from metering.json_values import both
from metering.json_values import items
from metering.json_values import member
from metering.usage import raw
from metering.usage.enums import BATCH_STATES
from metering.usage.enums import JOB_STATES
from metering.usage.enums import enum_name
from metering.usage.errors import ERROR_NAMES
from metering.usage.errors import rpc_code
from metering.usage.errors import take_error
from metering.usage.gemini import GeminiReader
from metering.usage.openai import USAGE_NAMES
from metering.usage.openai import take_usage
from metering.usage.reader import Reader

ENDED = frozenset(
    "completed failed expired cancelled"
    " JOB_STATE_SUCCEEDED JOB_STATE_FAILED JOB_STATE_CANCELLED JOB_STATE_EXPIRED JOB_STATE_PARTIALLY_SUCCEEDED"
    " BATCH_STATE_SUCCEEDED BATCH_STATE_FAILED BATCH_STATE_CANCELLED BATCH_STATE_EXPIRED".split()
)
"""The states of jobs that are done. Each job has one of one provider: OpenAI, Vertex, the Gemini API."""
ANSWERED = ("completed", "successfulCount", "successfulRequestCount")
"""How the providers call the number of requests that were answered."""
INLINED = ("inlinedResponses", "inlinedEmbedContentResponses")
"""The members of the Gemini API's answer that have the answers of the requests. Those with embeddings have a
`tokenCount` in place of usage (google-genai 3.6.1, `SingleEmbedContentResponse`)."""
TIER = "batch"
"""Batches have a price tier of their own, which none of these answers names."""


class BatchReader(Reader):
    wanted = (
        ERROR_NAMES
        | USAGE_NAMES
        | GeminiReader.wanted
        | both(
            "id name model state metadata request_counts completed failed total errors data completionStats"
            " successfulCount failedCount incompleteCount batchStats requestCount successfulRequestCount"
            f" failedRequestCount pendingRequestCount response output {' '.join(INLINED)}"
        )
    )

    def read(self, event: object) -> None:
        reading, progress = self._reading, member(event, "metadata")
        reading.response_id = word(member(event, "id") or member(event, "name"), LONGEST_ID)
        if not reading.response_id:
            take_error(reading, event)
            return
        told = enum_name(member(event, "status") or member(event, "state"), JOB_STATES)
        state = told or enum_name(member(progress, "state"), BATCH_STATES)
        if state not in ENDED:
            return
        reading.finish_reason, reading.traffic_type = state, TIER
        reading.failed = state.lower().endswith("failed")
        reading.error_type = _error_type(event)
        requests = member(event, "request_counts") or member(event, "completionStats") or member(progress, "batchStats")
        answered = (count(member(requests, name)) for name in ANSWERED)
        reading.input_items = next((number for number in answered if number is not None), None)
        reading.usage_raw = raw.allowed(requests) if isinstance(requests, dict) else None
        take_usage(reading, member(event, "usage"))
        response = member(event, "response") or member(progress, "output")
        inlined = next((one for name in INLINED if (one := member(response, name)) is not None), None)
        self._take_answers(items(member(inlined, "inlinedResponses") or inlined))

    def _take_answers(self, answers: list[object]) -> None:
        """Add up the usage of answers. Those that are errors have none."""
        readings = [_read(answer) for answer in answers if member(answer, "response") is not None]
        if readings:
            total = reduce(Reading.plus, readings)
            for name in (*COUNTED, *MODALITIES):
                if (number := getattr(total, name)) is not None:
                    setattr(self._reading, name, number)


def _read(answer: object) -> Reading:
    reader, response = GeminiReader(), member(answer, "response")
    reader.read(response)
    reading = reader.reading
    if reading.input_tokens is None:
        reading.input_tokens = count(member(response, "tokenCount"))
    return reading


def _error_type(job: object) -> str | None:
    """The code of the error that a job has ended with. Google's is a google.rpc.Status, OpenAI's a list of errors."""
    if (error := member(job, "error")) is not None:
        return word(member(error, "status")) or rpc_code(member(error, "code"))
    codes = (word(member(error, "code")) for error in items(member(member(job, "errors"), "data")))
    return next(filter(None, codes), None)
