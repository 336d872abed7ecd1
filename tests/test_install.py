"""What is built from the sources is named by what it holds, installs, and gives the same bits, compiled or not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from setuptools import Distribution, Extension

import streamnorm as sn
from streamnorm._build import NameWheel, without_kernel

ROOT = Path(__file__).parents[1]
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


#: What the build makes, and tools leave behind.
MADE = shutil.ignore_patterns(
    "*.so", "*.pyd", "__pycache__", "build", "dist", "*.egg-info", ".git", ".venv", ".*_cache", ".hypothesis"
)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Copy what is under version control, so that nothing built lies about."""
    copy = tmp_path / "sources"
    shutil.copytree(ROOT, copy, ignore=MADE)
    return copy


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def check_install(wheel_or_folder: Path, place: Path, compiled: bool, **environment: str) -> str:
    """Install without dependencies, and see that what was installed runs, with the bits of this checkout."""
    said = shell(
        "-m", "pip", "install", "-v", "--no-deps", "--no-build-isolation", "--target", place / "site", wheel_or_folder,
        **environment,
    )  # fmt: skip
    file, has_kernel, digest = ask(place / "site", place)
    assert Path(file).is_relative_to(place / "site")
    assert (has_kernel, digest) == (str(compiled), sn.StandardScaler().fit(np.arange(1000.0)[:, None] ** 0.5).digest())
    return said


@pytest.mark.slow
def test_sdist_and_wheel(sources, tmp_path):
    before = files_of(sources)
    shell("-m", "build", "--no-isolation", "--outdir", tmp_path / "dist", sources)
    (sdist,), (wheel,) = (tmp_path / "dist").glob("*.tar.gz"), (tmp_path / "dist").glob("*.whl")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")
    assert before - files_of(unpacked) <= {".gitignore"}

    assert "-cp311-abi3-" in wheel.name
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("streamnorm/")}
    wanted = {name for name in before if name.startswith("streamnorm/") and not name.endswith((".c", ".h"))}
    assert held == wanted | {name for name in held if "/_kernel." in name}
    assert len(held) == len(wanted) + 1
    check_install(wheel, tmp_path, compiled=True)


@pytest.mark.slow
def test_without_a_compiler(sources, tmp_path):
    assert "no kernel was compiled" in check_install(sources, tmp_path, compiled=False, CC="/bin/false")


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{"CC": "/bin/false"}, {"STREAMNORM_PURE": "1"}], ids=["failed", "asked for"])
def test_a_wheel_without_kernel_is_pure(sources, tmp_path, environment):
    shell("-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path / "compiled", sources)
    shell("-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path / "dist", sources, **environment)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if "/_kernel." in name], "left by the build before"
    check_install(wheel, tmp_path, compiled=False)


def test_free_threaded_python_has_a_wheel_without_kernel(monkeypatch):
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: 1 if name == "Py_GIL_DISABLED" else None)
    command = NameWheel(Distribution({"name": "streamnorm", "ext_modules": [Extension("kernel", ["kernel.c"])]}))
    command.py_limited_api = "cp311"
    assert "free-threaded" in without_kernel()
    command.ensure_finalized()
    assert not command.py_limited_api


@pytest.mark.parametrize("pure", ["", "1"])
def test_the_version_tells_which_kernel_runs(pure):
    environment = {"STREAMNORM_PURE": pure, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = shell(
        "-c", "import sys; sys.argv[1:] = ['--version']; from streamnorm.cli import main; main()", **environment
    )
    name = shell(
        "-c", "from streamnorm import kernel as k; print(k.instructions() if k.COMPILED else '')", **environment
    )
    kernel = f"kernel in C ({name.strip()})" if name.strip() else "kernel in Python (the same results, more slowly)"
    assert said == f"streamnorm {sn.__version__}, {kernel}\n"


def release(sources: Path, tag: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, sources / ".github" / "release.py", "https://example.org/streamnorm", tag]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_a_release_has_addresses_for_links(sources):
    tag = f"v{sn.__version__}"
    assert release(sources, tag).returncode == 0
    links = re.findall(r"\]\(([^)]+)\)", (sources / "README.md").read_text(encoding="utf-8"))
    assert all(re.match(r"https://|#", link) for link in links)
    for link in links:
        path = link.partition(f"/{tag}/")[2].partition("#")[0]
        assert not path or (sources / path).exists(), link
    urls = tomllib.loads((sources / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert {"Source", "Issues", "Changelog"} <= set(urls)


def test_a_tag_of_another_version_is_no_release(sources):
    before = (sources / "README.md").read_text(encoding="utf-8")
    done = release(sources, "v999")
    assert (done.returncode, "v999" in done.stderr, f"v{sn.__version__}" in done.stderr) == (1, True, True)
    assert (sources / "README.md").read_text(encoding="utf-8") == before


def test_the_version_stands_in_the_citation():
    assert f"\nversion: {sn.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
