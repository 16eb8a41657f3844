"""Google's enum values, which may be told by name or by number (`$alt=json;enum-encoding=int`).

Source: the discovery documents of aiplatform v1 and v1beta1. A value's number is its place in the table. (The numbers
in gRPC's messages are others: `ENUMS` in `usage/grpc.py`.)
"""

from metering.call import word

FINISH_REASONS = (
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "MODEL_ARMOR",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "IMAGE_OTHER",
    "UNEXPECTED_TOOL_CALL",
    "NO_IMAGE",
    "MALFORMED_RESPONSE",
    "CONTINUATION",
    "TOO_MANY_TOOL_CALLS",
)
BLOCK_REASONS = (
    "BLOCKED_REASON_UNSPECIFIED",
    "SAFETY",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "MODEL_ARMOR",
    "IMAGE_SAFETY",
    "JAILBREAK",
)
MODALITIES = ("MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT")
TRAFFIC_TYPES = (
    "TRAFFIC_TYPE_UNSPECIFIED",
    "ON_DEMAND",
    "ON_DEMAND_PRIORITY",
    "ON_DEMAND_FLEX",
    "ON_DEMAND_OFFPEAK",
    "PROVISIONED_THROUGHPUT",
)
JOB_STATES = (
    "JOB_STATE_UNSPECIFIED",
    "JOB_STATE_QUEUED",
    "JOB_STATE_PENDING",
    "JOB_STATE_RUNNING",
    "JOB_STATE_SUCCEEDED",
    "JOB_STATE_FAILED",
    "JOB_STATE_CANCELLING",
    "JOB_STATE_CANCELLED",
    "JOB_STATE_PAUSED",
    "JOB_STATE_EXPIRED",
    "JOB_STATE_UPDATING",
    "JOB_STATE_PARTIALLY_SUCCEEDED",
)

# The Gemini API's own (ai.google.dev/api/batch-api)
BATCH_STATES = (
    "BATCH_STATE_UNSPECIFIED",
    "BATCH_STATE_PENDING",
    "BATCH_STATE_RUNNING",
    "BATCH_STATE_SUCCEEDED",
    "BATCH_STATE_FAILED",
    "BATCH_STATE_CANCELLED",
    "BATCH_STATE_EXPIRED",
)
# Those of the Interactions API are of v1beta1: v1 lacks some.
INTERACTION_STATUSES = (
    "UNSPECIFIED",
    "IN_PROGRESS",
    "REQUIRES_ACTION",
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "INCOMPLETE",
    "BUDGET_EXCEEDED",
    "QUEUED",
    "REQUIRES_CONTINUATION",
)
INTERACTION_TIERS = (
    "SERVICE_TIER_UNSPECIFIED",
    "SERVICE_TIER_FLEX",
    "SERVICE_TIER_STANDARD",
    "SERVICE_TIER_PRIORITY",
    "SERVICE_TIER_DEFERRED",
)
INTERACTION_MODALITIES = ("RESPONSE_MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "AUDIO", "VIDEO", "DOCUMENT")
GROUNDING_TOOLS = ("TYPE_UNSPECIFIED", "GOOGLE_SEARCH", "GOOGLE_MAPS", "RETRIEVAL")
SEARCH_TYPES = (
    "SEARCH_TYPE_UNSPECIFIED",
    "SEARCH_TYPE_WEB_SEARCH",
    "SEARCH_TYPE_IMAGE_SEARCH",
    "SEARCH_TYPE_ENTERPRISE_WEB_SEARCH",
)


def enum_name(value: object, names: tuple[str, ...]) -> str | None:
    """The name of an enum value that is a name or a number. A number without a name, which a later version of the API
    may have, stays a number, as text. None for any other value."""
    if isinstance(value, int) and not isinstance(value, bool):
        return names[value] if 0 <= value < len(names) else str(value)
    return word(value)
