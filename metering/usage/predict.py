"""Reads responses to `:predict`: text embeddings and Imagen, told apart by the members of the predictions.

Embeddings report tokens (`embeddings.statistics.token_count`, as a float). Imagen reports none: its quantity is the
number of images. For a filtered image, the prediction has no bytes or is missing.
"""

from metering.call import count
from metering.call import word
from metering.json_values import both
from metering.json_values import items
from metering.json_values import member
from metering.usage import raw
from metering.usage.errors import ERROR_NAMES
from metering.usage.errors import take_error
from metering.usage.reader import Reader

IMAGE_MODELS = ("imagen", "imagegeneration", "imagetext", "virtual-try-on")


class PredictReader(Reader):
    """Reads predictions: `images` if they are images or `model` makes images, otherwise `input_items` and
    `input_tokens`."""

    wanted = ERROR_NAMES | both(
        "predictions embeddings statistics tokenCount bytesBase64Encoded gcsUri mimeType raiFilteredReason metadata"
        " billableCharacterCount modelDisplayName textEmbedding imageEmbedding videoEmbeddings"
    )

    def __init__(self, model: str | None) -> None:
        super().__init__()
        self._makes_images = bool(model) and str(model).startswith(IMAGE_MODELS)

    def read(self, event: object) -> None:
        if take_error(self._reading, event):
            return
        reading = self._reading
        predictions = items(member(event, "predictions"))
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
        reading.model_served = word(member(event, "modelDisplayName"), 128)


def _is_image(prediction: object) -> bool:
    made = member(prediction, "bytesBase64Encoded") or member(prediction, "gcsUri")
    mime_type = member(prediction, "mimeType")
    return bool(made) and (not isinstance(mime_type, str) or mime_type.startswith("image/"))
