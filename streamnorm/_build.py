"""How `pip install` compiles the kernel: flags by compiler, and an install that succeeds without one."""

from __future__ import annotations

import os
import sys

from setuptools import Extension
from setuptools.command.build_ext import build_ext

#: Strict arithmetic is what makes the sums exact: nothing here may reorder, contract or flush.
_GNU = [
    "-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-fast-math",
    "-fopenmp-simd", "-fvisibility=hidden",
]  # fmt: skip
_MSVC = ["/std:c11", "/O2", "/fp:strict"]


class BuildKernel(build_ext):  # type: ignore[misc]
    """Compile the kernel, or say that the reference in Python will run in its place."""

    def build_extension(self, ext: Extension) -> None:
        """Compile with the flags of the compiler at hand."""
        ext.extra_compile_args = _MSVC if self.compiler.compiler_type == "msvc" else _GNU
        if os.environ.get("STREAMNORM_PURE", "") not in ("", "0"):
            self._explain("STREAMNORM_PURE is set")
            return
        try:
            super().build_extension(ext)
        except Exception as error:  # every compiler fails in its own way
            self._explain(str(error))

    def _explain(self, why: str) -> None:
        sys.stderr.write(
            f"\nstreamnorm: no kernel was compiled ({why}). The Python reference runs in its place: the same "
            "results, more slowly. Install a C compiler and reinstall to have it.\n\n"
        )

    def get_outputs(self) -> list[str]:
        """Name what was built, which may be nothing."""
        return [path for path in super().get_outputs() if os.path.exists(path)]  # noqa: PTH110
