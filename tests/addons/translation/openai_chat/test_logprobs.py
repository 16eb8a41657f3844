from addons.translation.conversation import Finish
from addons.translation.conversation import Text
from addons.translation.conversation import TokenLogprob
from tests.addons.translation.openai_chat.answers import Stream
from tests.addons.translation.openai_chat.answers import choice_of
from tests.addons.translation.openai_chat.answers import piece
from tests.addons.translation.openai_chat.answers import told

LOGPROBS = [TokenLogprob("é", -0.5, [TokenLogprob("e", -1.0, [])])]

WRITTEN_LOGPROBS = {
    "content": [
        {
            "token": "é",
            "logprob": -0.5,
            "bytes": [195, 169],
            "top_logprobs": [{"token": "e", "logprob": -1.0, "bytes": [101]}],
        }
    ],
    "refusal": None,
}


def test_logprobs() -> None:
    assert told(Text("é"), logprobs=LOGPROBS)["logprobs"] == WRITTEN_LOGPROBS


def test_logprobs_of_a_stream() -> None:
    stream = Stream().write(piece(Text("é"), finish=Finish.STOP, logprobs=LOGPROBS)).end()
    told = [event["choices"][0]["logprobs"] for event in stream.events[:-1]]
    assert [one for one in told if one] == [WRITTEN_LOGPROBS]


def test_logprobs_of_a_service() -> None:
    assert choice_of({}, logprobs=WRITTEN_LOGPROBS).logprobs == LOGPROBS
    assert choice_of({}, logprobs={"content": [{"token": "a", "logprob": 10**400}]}).logprobs
    assert choice_of({}, logprobs={"content": None}).logprobs is None
