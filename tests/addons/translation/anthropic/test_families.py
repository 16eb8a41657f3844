import re

import pytest

from addons.translation.anthropic.families import FAMILIES
from addons.translation.anthropic.families import NEWEST
from addons.translation.anthropic.families import Family
from addons.translation.anthropic.families import family_of
from tests.addons.translation.anthropic.bodies import ALWAYS_ON
from tests.addons.translation.anthropic.bodies import MANUAL_ONLY
from tests.addons.translation.anthropic.bodies import MOST
from tests.addons.translation.anthropic.bodies import NEVER_FORCED
from tests.addons.translation.anthropic.bodies import NO_THINKING
from tests.addons.translation.anthropic.bodies import PREFILL
from tests.addons.translation.anthropic.bodies import SAMPLING
from tests.addons.translation.anthropic.bodies import STOPS


@pytest.mark.parametrize("model", MOST)
def test_families(model: str) -> None:
    assert family_of(model) == Family(
        most_tokens=MOST[model],
        takes_budgets=model in MANUAL_ONLY,
        takes_efforts=model not in MANUAL_ONLY | NO_THINKING,
        efforts=("low", "medium", "high", "max") if "-4-6" in model else ("low", "medium", "high", "xhigh", "max"),
        thinks_unasked=model in STOPS.keys() | ALWAYS_ON,
        stops_with=STOPS.get(model),
        takes_sampling=model in SAMPLING,
        takes_prefill=model in PREFILL,
        takes_forced_calls=model not in NEVER_FORCED,
    )


def test_each_row_is_tested() -> None:
    first = {next(beginning for beginning in FAMILIES if re.match(beginning, model)) for model in MOST}
    assert first == FAMILIES.keys()


@pytest.mark.parametrize("model", ["claude-opus-9", "claude-fable-5-1", "claude-sonnet-5-7", "somebodys-model"])
def test_what_is_not_known_is_the_newest(model: str) -> None:
    assert family_of(model) == NEWEST
