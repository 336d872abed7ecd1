"""How `pip install` compiles the kernel: flags by compiler, and an install that succeeds without one.

A wheel is named by what it holds: `cp311-abi3-PLATFORM` with the compiled kernel, `py3-none-any` without, so that a
cache or an index never hands out the one for the other.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

#: Strict arithmetic is what makes the sums exact: nothing here may reorder, contract or flush.
_GNU = [
    "-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-fast-math",
    "-fopenmp-simd", "-fvisibility=hidden",
]  # fmt: skip
_MSVC = ["/std:c11", "/O2", "/fp:strict"]


def without_kernel() -> str:
    """Give the reason not to compile at all, or an empty text."""
    if os.environ.get("STREAMNORM_PURE", "") not in ("", "0"):
        return "STREAMNORM_PURE is set"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "free-threaded Python has no stable ABI, which the kernel is written for"
    return ""


class BuildKernel(build_ext):  # type: ignore[misc]
    """Compile the kernel, or say that the reference in Python will run in its place."""

    def build_extension(self, ext: Extension) -> None:
        """Compile with the flags of the compiler at hand."""
        ext.extra_compile_args = _MSVC if self.compiler.compiler_type == "msvc" else _GNU
        if why := without_kernel():
            self._leave_out(ext, why)
            return
        try:
            super().build_extension(ext)
        except Exception as error:  # every compiler fails in its own way
            self._leave_out(ext, str(error))

    def _leave_out(self, ext: Extension, why: str) -> None:
        """Say so, and remove what an earlier build left, which would be installed in its place."""
        Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)
        (Path(self.build_lib) / self.get_ext_filename(ext.name)).unlink(missing_ok=True)
        sys.stderr.write(
            f"\nstreamnorm: no kernel was compiled ({why}). The Python reference runs in its place: the same "
            "results, more slowly. Install a C compiler and reinstall to have it.\n\n"
        )

    def get_outputs(self) -> list[str]:
        """Name what was built, which may be nothing."""
        return [path for path in super().get_outputs() if Path(path).exists()]


class NameWheel(bdist_wheel):  # type: ignore[misc]
    """Tag the wheel as pure Python where no kernel was compiled."""

    def finalize_options(self) -> None:
        """Ask for the stable ABI only where there is one; setuptools refuses it elsewhere."""
        if without_kernel():
            self.py_limited_api = False
        super().finalize_options()

    def run(self) -> None:
        """Build first: the tag is chosen by what came of it."""
        if not self.skip_build:
            self.run_command("build")
        if not self.get_finalized_command("build_ext").get_outputs():
            self.distribution.ext_modules = []
            self.root_is_pure = True
        super().run()
