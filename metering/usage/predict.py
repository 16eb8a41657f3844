"""Reads responses to `:predict` and `:rawPredict`: text embeddings, Imagen, and chat models, told apart by the members
of the predictions.

Embeddings report tokens (`embeddings.statistics.token_count`, as a float). Imagen reports none: its quantity is the
number of images. For a filtered image, the prediction has no bytes or is missing. Chat models that are deployed to an
endpoint, such as MedGemma and Llama, are asked with `"@requestFormat": "chatCompletions"`: the predictions are then a
chat completion of OpenAI's format, or a list of them. To rawPredict they may answer without `predictions` around it.
"""

from dataclasses import replace
from functools import reduce

from metering.call import LONGEST_MODEL
from metering.call import Reading
from metering.call import count
from metering.call import word
from metering.json_values import both
from metering.json_values import items
from metering.json_values import member
from metering.usage import raw
from metering.usage.errors import ERROR_NAMES
from metering.usage.errors import take_error
from metering.usage.openai import ChatReader
from metering.usage.reader import Reader

TENSOR_VALUES = ("stringVal", "intVal", "int64Val", "uintVal", "uint64Val", "floatVal", "doubleVal")
"""Members of a Tensor that are lists of plain values (discovery document of aiplatform v1)."""
IMAGE_MODELS = ("imagen", "imagegeneration", "imagetext", "virtual-try-on")


class PredictReader(Reader):
    """Reads predictions: the usage of chats; `images` if they are images or `model` makes images; otherwise
    `input_items` and `input_tokens`. Several chats in one answer add up, events of one stream do not."""

    wanted = (
        ERROR_NAMES
        | ChatReader.wanted
        | both(
            "predictions embeddings statistics tokenCount bytesBase64Encoded gcsUri mimeType raiFilteredReason"
            " metadata billableCharacterCount modelDisplayName textEmbedding imageEmbedding videoEmbeddings"
        )
        | frozenset({"outputs", *TENSOR_VALUES, "structVal", "listVal"})
    )

    def __init__(self, model: str | None) -> None:
        super().__init__()
        self._makes_images = bool(model) and str(model).startswith(IMAGE_MODELS)
        self._chats: list[ChatReader] = []
        """One for each prediction that is a chat."""

    @property
    def reading(self) -> Reading:
        if not self._chats:
            return self._reading
        own, chats = self._reading, [chat.reading for chat in self._chats]
        told = reduce(Reading.plus, chats)
        return replace(
            told,
            model_served=told.model_served or own.model_served,
            error_type=told.error_type or own.error_type,
            failed=own.failed or any(chat.failed for chat in chats),
        )

    @property
    def content(self) -> bool:
        return any(chat.content for chat in self._chats)

    @property
    def terminal(self) -> bool:
        return any(chat.terminal for chat in self._chats)

    def read(self, event: object) -> None:
        reading = self._reading
        is_error = take_error(reading, event)
        reading.model_served = word(member(event, "modelDisplayName"), LONGEST_MODEL) or reading.model_served
        outputs = [_plain(output) for output in items(member(event, "outputs"))]
        told = [event] if _is_chat(event) or event == b"[DONE]" else _each(member(event, "predictions")) or outputs
        if event == b"[DONE]" or any(_is_chat(prediction) for prediction in told):
            self._read_chats(told)
        elif not is_error:
            self._read_predictions(event, told)

    def _read_chats(self, chats: list[object]) -> None:
        self._chats += [ChatReader() for _ in chats[len(self._chats) :]]
        for reader, chat in zip(self._chats, chats, strict=False):
            reader.read(chat)
            if any(member(choice, "delta") is not None for choice in items(member(chat, "choices"))):
                self.ends_with_event = True

    def _read_predictions(self, event: object, predictions: list[object]) -> None:
        reading = self._reading
        tokens = [
            count(member(member(member(prediction, "embeddings"), "statistics"), "tokenCount"))
            for prediction in predictions
        ]
        images = sum(_is_image(prediction) for prediction in predictions)
        if images or self._makes_images:
            reading.images = images
        else:
            reading.input_items = len(predictions) if predictions else None
        if tokens and None not in tokens:
            reading.input_tokens = sum(t for t in tokens if t is not None)
        if isinstance(metadata := member(event, "metadata"), dict):
            reading.usage_raw = raw.allowed(metadata)


def _each(predictions: object) -> list[object]:
    return [predictions] if isinstance(predictions, dict) else items(predictions)


def _is_chat(prediction: object) -> bool:
    """Whether it is a chat completion, or an event of one, or another answer that tells its usage."""
    usage = member(prediction, "usage") or member(prediction, "usage_info")
    return isinstance(member(prediction, "choices"), list) or isinstance(usage, dict)


def _plain(tensor: object, depth: int = 8) -> object:
    """The value that a Tensor of serverStreamingPredict holds: `{"intVal": [3]}` is 3, `{"structVal": {"a": {"intVal":
    [3]}}}` is `{"a": 3}`."""
    if not isinstance(tensor, dict) or not depth:
        return None
    if isinstance(struct := tensor.get("structVal"), dict):
        return {name: _plain(value, depth - 1) for name, value in struct.items()}
    if isinstance(values := tensor.get("listVal"), list):
        return [_plain(value, depth - 1) for value in values]
    return next((items(tensor[name])[0] for name in TENSOR_VALUES if items(tensor.get(name))), None)


def _is_image(prediction: object) -> bool:
    made = member(prediction, "bytesBase64Encoded") or member(prediction, "gcsUri")
    mime_type = member(prediction, "mimeType")
    return bool(made) and (not isinstance(mime_type, str) or mime_type.startswith("image/"))
