"""What is built from the sources installs and gives the same bits, with and without a compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import streamnorm as sn

ROOT = Path(sn.__file__).parents[1]
#: An editable install finds modules that the installed copy lacks; it must not.
DIGEST = (
    "import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in f.__module__]; "
    "import numpy, streamnorm as sn; "
    "from streamnorm import kernel; "
    "print(sn.__file__, kernel.COMPILED, sn.StandardScaler().fit(numpy.arange(1000.0)[:, None] ** 0.5).digest())"
)


def shell(*words: object, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def ask(installed: Path, where: Path) -> list[str]:
    """Import the package from where it was installed, and fit something."""
    out = subprocess.run(
        [sys.executable, "-c", DIGEST], cwd=where, env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return out.stdout.split()


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Copy what is under version control, so that nothing built lies about."""
    copy = tmp_path / "sources"
    ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__", "build", "*.egg-info")
    shutil.copytree(ROOT / "streamnorm", copy / "streamnorm", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.mark.slow
def test_sdist_and_wheel(sources, tmp_path):
    shell("-m", "build", "--no-isolation", "--outdir", tmp_path / "dist", sources)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert "-cp311-abi3-" in wheel.name
    package = {path.relative_to(sources).as_posix() for path in (sources / "streamnorm").rglob("*") if path.is_file()}
    assert package - set(zipfile.ZipFile(wheel).namelist()) == set()
    shell("-m", "pip", "install", "--no-deps", "--target", tmp_path / "site", wheel)
    file, compiled, digest = ask(tmp_path / "site", tmp_path)
    assert Path(file).is_relative_to(tmp_path / "site")
    assert (compiled, digest) == ("True", sn.StandardScaler().fit(np.arange(1000.0)[:, None] ** 0.5).digest())


@pytest.mark.slow
def test_without_a_compiler(sources, tmp_path):
    said = shell("-m", "pip", "install", "-v", "--no-deps", "--no-build-isolation", "--target", tmp_path / "site",
                 sources, CC="/bin/false")  # fmt: skip
    assert "no kernel was compiled" in said
    file, compiled, digest = ask(tmp_path / "site", tmp_path)
    assert Path(file).is_relative_to(tmp_path / "site")
    assert (compiled, digest) == ("False", sn.StandardScaler().fit(np.arange(1000.0)[:, None] ** 0.5).digest())
