"""BatchNormalizer beside the layers of Keras and PyTorch themselves."""

from __future__ import annotations

import numpy as np
import pytest

from streamnorm import BatchNormalizer
from streamnorm.errors import DataError

TOLERANCE = 1e-6  # of float32 figures, of their magnitude or of 1


def close(ours, theirs) -> None:
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=TOLERANCE, atol=TOLERANCE)


def numbers(tensor):
    return tensor.detach().cpu().numpy()


#: Keras' own, when it copies a tensor to numpy's memory.
beside_keras = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SHAPES = [((32, 5), -1), ((64, 3), 1), ((16, 9, 4), -1), ((16, 4, 9), 1), ((8, 6, 7, 3), -1), ((8, 3, 6, 7), 1)]
CASES = [(shape, axis, True, True) for shape, axis in SHAPES]
CASES += [((32, 5), -1, True, False), ((32, 5), -1, False, True), ((32, 5), -1, False, False)]


@beside_keras
@pytest.mark.parametrize(("shape", "axis", "center", "scale"), CASES)
def test_keras_over_many_steps(keras, shape, axis, center, scale):
    rng = np.random.default_rng(1)
    layer = keras.layers.BatchNormalization(axis=axis, center=center, scale=scale)
    layer.build(shape)
    features = shape[axis]
    if scale:
        layer.gamma.assign(rng.normal(size=features))
    if center:
        layer.beta.assign(rng.normal(size=features))
    ours = BatchNormalizer.from_keras(layer)
    for _ in range(100):
        x = (rng.normal(size=shape) + 0.5).astype(np.float32)
        close(ours.transform(x, training=True), numbers(layer(x, training=True)))
        ours.partial_fit(x)
        close(ours.moving_mean_, numbers(layer.moving_mean.value))
        close(ours.moving_variance_, numbers(layer.moving_variance.value))
        y = ours.transform(x)
        close(y, numbers(layer(x, training=False)))
    assert y.dtype == ours.moving_mean_.dtype == np.float32
    for mine, theirs in zip(ours.to_keras_weights(), layer.get_weights(), strict=True):
        assert mine.dtype == theirs.dtype
        close(mine, theirs)


@beside_keras
def test_weights_of_0_and_1_are_keras_mask(keras):
    rng = np.random.default_rng(5)
    layer, ours = keras.layers.BatchNormalization(), BatchNormalizer()
    for _ in range(20):
        x = rng.normal(0.5, 2, size=(16, 5, 3)).astype(np.float32)
        weights = rng.integers(0, 2, 16)
        layer(x, training=True, mask=np.repeat(weights[:, np.newaxis] > 0, 5, axis=1))
        ours.partial_fit(x, sample_weight=weights)
        close(ours.moving_mean_, numbers(layer.moving_mean.value))
        close(ours.moving_variance_, numbers(layer.moving_variance.value))


def test_weights_are_rows_repeated():
    rng = np.random.default_rng(6)
    x, weights = rng.normal(size=(9, 4, 2)), rng.integers(0, 4, 9)
    for make in (BatchNormalizer, BatchNormalizer.torch):
        assert make().fit(x, sample_weight=weights) == make().fit(np.repeat(x, weights, axis=0))
    with pytest.raises(DataError, match="axis=0 keeps the rows"):
        BatchNormalizer(0).fit(x, sample_weight=weights)
    with pytest.raises(DataError, match="more than 1 sample"):
        BatchNormalizer.torch().fit(x[:, 0], sample_weight=[1.0] + [0.0] * 8)


@beside_keras
def test_the_variance_far_from_zero_is_right_where_keras_is_not(keras):
    x = np.random.default_rng(3).normal(3000, 1, size=(256, 1)).astype(np.float32)
    layer = keras.layers.BatchNormalization(momentum=0.0)
    layer(x, training=True)
    truth = x.astype(np.float64).var()
    assert abs(numbers(layer.moving_variance.value)[0] / truth - 1) > 0.01
    assert BatchNormalizer(momentum=0.0).fit(x).moving_variance_[0] == np.float32(truth)


@beside_keras
def test_keras_float16_is_computed_in_float32(keras):
    x = np.random.default_rng(4).normal(0.5, 1, size=(32, 3)).astype(np.float16)
    layer = keras.layers.BatchNormalization(dtype="mixed_float16")
    expected = numbers(layer(x, training=True))
    y = BatchNormalizer().build(3).transform(x, training=True)
    assert y.dtype == expected.dtype == np.float16
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-6)


@beside_keras
def test_a_keras_layer_takes_our_weights(keras):
    rng = np.random.default_rng(5)
    x = rng.normal(2, 3, size=(50, 4)).astype(np.float32)
    ours = BatchNormalizer(momentum=0.5, gamma=[1, 2, 3, 4], beta=-1.0).fit(x)
    layer = keras.layers.BatchNormalization(momentum=0.5)
    layer.build(x.shape)
    layer.set_weights(ours.to_keras_weights())
    close(ours.transform(x), numbers(layer(x)))
    again = BatchNormalizer.from_keras(layer)
    assert again.momentum == 0.5
    assert np.array_equal(again.transform(x), ours.transform(x))


@beside_keras
def test_keras_layers_that_cannot_be_converted(keras):
    with pytest.raises(DataError, match=r"has 4 weights \(gamma, beta, moving_mean, moving_variance\), got 0"):
        BatchNormalizer.from_keras(keras.layers.BatchNormalization())
    with pytest.raises(DataError, match="renorm"):
        BatchNormalizer.from_keras(keras.layers.BatchNormalization(renorm=True))


@pytest.mark.parametrize(
    ("module", "shape"), [("BatchNorm1d", (32, 5)), ("BatchNorm1d", (16, 4, 9)), ("BatchNorm2d", (8, 3, 6, 7))]
)
@pytest.mark.parametrize("affine", [True, False])
def test_torch_over_many_steps(torch, module, shape, affine):
    rng = np.random.default_rng(6)
    layer = getattr(torch.nn, module)(shape[1], affine=affine)
    if affine:
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(rng.normal(size=shape[1])))
            layer.bias.copy_(torch.from_numpy(rng.normal(size=shape[1])))
    ours = BatchNormalizer.from_state_dict(layer.state_dict())
    for _ in range(100):
        x = (rng.normal(size=shape) + 0.5).astype(np.float32)
        close(ours.transform(x, training=True), numbers(layer.train()(torch.from_numpy(x))))
        ours.partial_fit(x)
        close(ours.moving_mean_, layer.running_mean)
        close(ours.moving_variance_, layer.running_var)
        close(ours.transform(x), numbers(layer.eval()(torch.from_numpy(x))))
    state = ours.to_state_dict()
    assert list(state) == list(layer.state_dict())
    assert state["num_batches_tracked"] == 100
    other = getattr(torch.nn, module)(shape[1], affine=affine).eval()
    other.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    close(ours.transform(x), numbers(other(torch.from_numpy(x))))
    assert BatchNormalizer.from_state_dict(other.state_dict()) == BatchNormalizer.from_state_dict(state)


def test_torch_in_float64(torch):
    """Keras computes in float32 even where the layer and the data are of float64."""
    rng = np.random.default_rng(2)
    layer = torch.nn.BatchNorm1d(4, eps=1e-4, momentum=0.2).double()
    ours = BatchNormalizer.torch(0.2, 1e-4)
    for _ in range(100):
        x = rng.normal(3, 2, size=(20, 4))
        expected = numbers(layer.train()(torch.from_numpy(x)))
        np.testing.assert_allclose(ours.partial_fit(x).transform(x, training=True), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours.moving_mean_, layer.running_mean, rtol=1e-13)
    np.testing.assert_allclose(ours.moving_variance_, layer.running_var, rtol=1e-13)
    expected = numbers(layer.eval()(torch.from_numpy(x)))
    np.testing.assert_allclose(ours.transform(x), expected, rtol=1e-12, atol=1e-12)


def test_torch_with_one_value_a_channel_is_refused_by_both(torch):
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        torch.nn.BatchNorm1d(2)(torch.zeros(1, 2))
    with pytest.raises(DataError, match="column 0 needs more than 1 sample"):
        BatchNormalizer.torch().fit([[1.0, 2.0]])
