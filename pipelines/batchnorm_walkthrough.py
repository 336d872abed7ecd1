"""Why `BatchNormalization` returned the input times 0.9995, shown by running it.

Somebody normalised [[1, 2], [5, 4]] with Keras' layer, expected the z-score -0.7071 and 0.7071, and got
nearly the input. Needs neither Keras nor PyTorch:

    python pipelines/batchnorm_walkthrough.py
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from streamnorm import BatchNormalizer, StandardScaler

X = np.array([[1.0, 2.0], [5.0, 4.0]])


def show(values: NDArray[np.float64]) -> str:
    rows = ("  ".join(f"{value:10.7f}" for value in row) for row in np.atleast_2d(values))
    return "\n".join(f"    {row}" for row in rows)


def z_scores() -> NDArray[np.float64]:
    print(f"The data, two rows of two columns:\n{show(X)}\n")
    print("1. The z-score, (x - mean) / std, of each column. What std divides by decides the figure.")
    print(f"   By n - 1 (ddof=1, pandas), which was expected:\n{show(StandardScaler(ddof=1).fit_transform(X))}")
    z = StandardScaler(ddof=0).fit_transform(X)
    print(f"   By n (ddof=0, numpy and scikit-learn):\n{show(z)}\n")
    return z


def training(layer: BatchNormalizer, z: NDArray[np.float64]) -> None:
    trained = layer.transform(X, training=True)
    print("2. The layer in training mode, layer(x, training=True), divides by n too, and by")
    print(f"   sqrt(variance + epsilon) with epsilon = {layer.epsilon:g}:\n{show(trained)}")
    for column, (share, variance) in enumerate(zip((trained / z)[0], X.var(axis=0), strict=True)):
        print(f"   Column {column}: {share:.7f} of the z-score = sqrt({variance:g} / {variance + layer.epsilon:g}).")
    print()


def inference(layer: BatchNormalizer) -> None:
    y = layer.transform(X)
    print("3. The layer in inference mode before any training, layer(x), which is what was run:")
    print(f"{show(y)}")
    print(f"   That is the input times {(y / X)[0, 0]:.7f}. The layer does not look at the data it is given:")
    print(f"   it uses its moving mean, still {layer.moving_mean_[0]:g}, and its moving variance,")
    print(f"   still {layer.moving_variance_[0]:g}: (x - 0) / sqrt(1 + {layer.epsilon:g}).\n")


def axes(momentum: float) -> None:
    rows = BatchNormalizer(axis=0, momentum=momentum).build(len(X))
    print("4. Along the other axis: `axis` is the axis that is kept. axis=-1 keeps the columns, as above; axis=0")
    print("   keeps the rows, each with its own mean and variance. In training mode:")
    print(show(rows.transform(X, training=True)))
    print("   In inference mode before training it makes no difference, every mean is 0 and every variance 1:")
    print(f"{show(rows.transform(X))}\n")


def steps(layer: BatchNormalizer, counts: list[int]) -> None:
    mean, variance = X.mean(axis=0), X.var(axis=0)
    print("5. Training moves the statistics: moving = moving * momentum + batch * (1 - momentum). The start")
    print(f"   fades by the factor {layer.momentum:g} a step; the batch has mean {mean} and variance {variance}.")
    print("     steps   start's weight   moving mean          moving variance      first row in inference")
    for count in sorted(set(counts)):
        while layer.n_steps_ < count:
            layer.partial_fit(X)
        figures = (layer.moving_mean_, layer.moving_variance_, layer.transform(X)[0])
        print(f"   {count:7d}   {layer.momentum**count:14.7f}   {'   '.join(map(pair, figures))}")
    print("   Training long enough, inference gives what training mode does. StandardScaler gives it at once.")


def pair(values: NDArray[np.float64]) -> str:
    return "  ".join(f"{value:8.5f}" for value in values)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Why BatchNormalization returned the input times 0.9995.")
    parser.add_argument("--momentum", type=float, default=0.99, help="of the layer, 0 to 1 (default: 0.99, as Keras)")
    counts = [0, 1, 10, 69, 100, 500, 2000]
    parser.add_argument("--steps", type=int, nargs="+", default=counts, help="training steps to show (default: many)")
    options = parser.parse_args(arguments)
    if not 0 <= options.momentum <= 1:
        parser.error(f"--momentum must be from 0 to 1, got {options.momentum:g}")
    if min(options.steps) < 0:
        parser.error(f"--steps must not be negative, got {min(options.steps)}")
    layer = BatchNormalizer(momentum=options.momentum).build(X.shape[1])
    training(layer, z_scores())
    inference(layer)
    axes(options.momentum)
    steps(layer, options.steps)


if __name__ == "__main__":
    main()
