from metering import wording


def test_suggestion() -> None:
    assert wording.suggestion("modle", ["model", "since"]) == "; did you mean model?"
    assert wording.suggestion("x", ["model", "since"]) == "; choose from model, since"
