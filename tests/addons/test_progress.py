import pytest

from addons.progress import MOVES
from addons.progress import Progress
from tests.addons.test_exchange import exchange


@pytest.mark.parametrize("state", Progress)
def test_moves(state: Progress) -> None:
    """Every state can be stayed in; what is settled stays so."""
    for other in Progress:
        one = exchange()
        one.state = state
        if other in MOVES[state] or other is state:
            one.move(other)
            assert one.state is other
        else:
            with pytest.raises(AssertionError, match="cannot become"):
                one.move(other)
            assert one.state is state
    assert state is Progress.SETTLED or Progress.SETTLED in MOVES[state]
