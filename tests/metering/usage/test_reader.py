import pytest

from metering.usage.reader import Reader


def test_what_nobody_has_read() -> None:
    reader = Reader()
    assert (reader.content, reader.terminal, reader.reading.counted) == (False, False, False)
    assert (reader.wanted, reader.ends_with_event) == (frozenset(), False)
    with pytest.raises(NotImplementedError):
        reader.read({})
