"""To Keras: a model of one BatchNormalization layer, which normalises in inference."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from streamnorm.export._layers import layer_of
from streamnorm.export._needs import need

__all__ = ["dump_keras", "to_keras"]

_HOW = "pip install 'streamnorm[peers]', and set KERAS_BACKEND=torch where TensorFlow is not installed"


def to_keras(normalizer: Any) -> Any:
    """Give a Keras model whose inference maps as `transform` does, to the precision of float32.

    Keras computes this layer in float32 even where its dtype is float64. A warning names the columns of which
    float32 loses more than 1e-4 of a standard deviation.

    The model takes and gives a matrix of shape (n_rows, n_columns), the columns in the order of
    ``feature_names_in_``. Its layer holds the centre and the squared divisor as moving mean and variance; what
    epsilon adds to the variance, gamma makes up for. Put the layer in front of a network with
    ``trainable = False``, or its statistics move on in training.

    Parameters
    ----------
    normalizer : BatchNormalizer, TableNormalizer, StandardScaler, ...
        Fitted. The weights, epsilon and momentum of a `BatchNormalizer` are the layer's.

    Returns
    -------
    keras.Sequential

    Raises
    ------
    DataError
        If a column is clipped or mapped through quantiles, or needs numbers beyond float32.
    OutputError
        If Keras is not installed.
    """
    layer = layer_of(normalizer, "Keras", dtype="float32")
    keras = need("keras", _HOW)
    momentum = getattr(normalizer, "momentum", 0.99)
    batch_normalization = keras.layers.BatchNormalization(momentum=momentum, epsilon=layer.epsilon)
    model = keras.Sequential([keras.Input((len(layer.names),)), batch_normalization])
    batch_normalization.set_weights([layer.gamma, layer.beta, layer.mean, layer.variance])
    return model


def dump_keras(model: Any) -> bytes:
    """Give what `to_keras` gave as the content of a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"  # Keras goes by the ending
        model.save(path)
        return path.read_bytes()
