"""Google's enum values by name and by number."""

import pytest

from metering.usage import enums
from metering.usage.enums import enum_name
from tests.metering.discovery import document

SCHEMAS = {
    "Candidate.finishReason": enums.FINISH_REASONS,
    "GenerateContentResponsePromptFeedback.blockReason": enums.BLOCK_REASONS,
    "ModalityTokenCount.modality": enums.MODALITIES,
    "GenerateContentResponseUsageMetadata.trafficType": enums.TRAFFIC_TYPES,
    "BatchPredictionJob.state": enums.JOB_STATES,
}
INTERACTIONS = {
    "Interaction.status": enums.INTERACTION_STATUSES,
    "Interaction.serviceTier": enums.INTERACTION_TIERS,
    "InteractionUsageModalityTokens.modality": enums.INTERACTION_MODALITIES,
    "InteractionUsageGroundingToolCount.type": enums.GROUNDING_TOOLS,
    "GoogleSearchCallStep.searchType": enums.SEARCH_TYPES,
}


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize("place", SCHEMAS)
def test_the_tables_are_googles(version: str, place: str) -> None:
    schema, _, field = place.partition(".")
    title = f"GoogleCloudAiplatform{version.capitalize()}{schema}"
    assert tuple(document(version)["schemas"][title]["properties"][field]["enum"]) == SCHEMAS[place]


@pytest.mark.parametrize("place", INTERACTIONS)
def test_the_tables_of_interactions_are_googles(place: str) -> None:
    """Of v1beta1, which google-genai speaks. In v1 some values are missing."""
    schema, _, field = place.partition(".")
    title = f"GenaiVertexV1beta1{schema}"
    assert tuple(document("v1beta1")["schemas"][title]["properties"][field]["enum"]) == INTERACTIONS[place]


def test_enum_name() -> None:
    names: list[tuple[object, str | None]] = [
        (0, "RED"),
        (1, "GREEN"),
        (2, "2"),
        (-1, "-1"),
        ("GREEN", "GREEN"),
        ("BLUE", "BLUE"),
        (True, None),
        (1.0, None),
        (None, None),
        ("some free text", None),
        ([1], None),
    ]
    assert [(value, enum_name(value, ("RED", "GREEN"))) for value, _ in names] == names
