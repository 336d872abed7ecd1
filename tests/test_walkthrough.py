"""The question that started the project: every figure the walkthrough prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "pipelines" / "batchnorm_walkthrough.py"
X = np.array([[1.0, 2.0], [5.0, 4.0]])


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def sections() -> list[str]:
    """The printed text before "1.", from "1." to "2.", and so on."""
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    return re.split(r"^\d\. ", done.stdout, flags=re.MULTILINE)


def matrices(text: str) -> list[list[list[float]]]:
    """Every run of lines that hold two numbers with seven decimals and nothing else."""
    found: list[list[list[float]]] = [[]]
    for line in text.splitlines():
        if re.fullmatch(r"(\s+-?\d+\.\d{7}){2}", line):
            found[-1].append([float(word) for word in line.split()])
        elif found[-1]:
            found.append([])
    return [matrix for matrix in found if matrix]


def test_sections(sections):
    assert len(sections) == 6
    assert matrices(sections[0]) == [X.tolist()]


def test_z_scores(sections):
    sample, population = matrices(sections[1])
    assert sample == [[-0.7071068, -0.7071068], [0.7071068, 0.7071068]]
    assert population == [[-1.0, -1.0], [1.0, 1.0]]
    assert "ddof=1" in sections[1].split("ddof=0")[0]


def test_training_mode(sections):
    assert matrices(sections[2]) == [[[-0.9998750, -0.9995004], [0.9998750, 0.9995004]]]
    assert "Column 0: 0.9998750 of the z-score = sqrt(4 / 4.001)" in sections[2]
    assert round((4 / 4.001) ** 0.5, 5) == 0.99988
    assert "Column 1: 0.9995004 of the z-score = sqrt(1 / 1.001)" in sections[2]


def test_inference_mode_before_training(sections):
    (y,) = matrices(sections[3])
    assert y == np.round(X / 1.001**0.5, 7).tolist()
    assert "the input times 0.9995004" in sections[3]
    assert "(x - 0) / sqrt(1 + 0.001)" in sections[3]


def test_the_other_axis(sections):
    trained, untrained = matrices(sections[4])
    each = round((0.25 / 0.251) ** 0.5, 7)
    assert trained == [[-each, each], [each, -each]]
    assert untrained == np.round(X / 1.001**0.5, 7).tolist()


def test_moving_statistics_approach_those_of_the_batch(sections):
    rows = [list(map(float, line.split())) for line in sections[5].splitlines() if re.match(r"\s+\d+\s", line)]
    assert [row[0] for row in rows] == [0, 1, 10, 69, 100, 500, 2000]
    for steps, weight, *figures in rows:
        start = 0.99**steps
        mean = 3 * (1 - start)
        variances = [start + 4 * (1 - start), 1.0]
        outputs = [(x - mean) / (variance + 1e-3) ** 0.5 for x, variance in zip([1, 2], variances, strict=True)]
        assert weight == pytest.approx(start, abs=5.1e-8)
        assert figures == pytest.approx([mean, mean, *variances, *outputs], abs=1.5e-5)
    assert rows[-1][2:] == [3.0, 3.0, 4.0, 1.0, -0.99988, -0.9995]


def test_momentum_and_steps_are_options():
    done = run("--momentum", "0.5", "--steps", "1", "0")
    last = [line.split() for line in done.stdout.splitlines() if re.match(r"\s+[01]\s", line)]
    assert [line[:6] for line in last[-2:]] == [
        ["0", "1.0000000", "0.00000", "0.00000", "1.00000", "1.00000"],
        ["1", "0.5000000", "1.50000", "1.50000", "2.50000", "1.00000"],
    ]


@pytest.mark.parametrize(
    ("arguments", "words"), [(["--momentum", "2"], "from 0 to 1"), (["--steps", "-1"], "not be negative")]
)
def test_wrong_options(arguments, words):
    done = run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_help_and_length():
    done = run("--help")
    assert done.returncode == 0
    assert "--momentum" in done.stdout
    assert len(SCRIPT.read_text().splitlines()) < 100


def test_needs_neither_keras_nor_torch():
    code = (
        "import runpy, sys; sys.argv = ['x'];"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__');"
        "assert not {'keras', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "0.9995004" in done.stdout
