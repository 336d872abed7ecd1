"""Looking at states: `show` one, `diff` two, and `write` a page of either.

What is shown of a column depends on what was kept of it. With ``profile=True`` (``--profile``) that is
everything here; without, the moments, extremes or histogram that its scaler needs.

Examples
--------
>>> import numpy as np, pyarrow as pa, streamnorm as sn
>>> x = np.random.default_rng(0).normal(size=1000)
>>> before, after = (sn.TableNormalizer(profile=True).fit(pa.table({"x": v})) for v in (x, x + 1))
>>> (drift,) = sn.report.diff(before, after)
>>> drift.verdict, round(drift.psi, 2), round(drift.shift, 2)
('major', 1.01, 1.02)
"""

from streamnorm.report.drift import Drift
from streamnorm.report.shown import Shown, diff, show, write

__all__ = ["Drift", "Shown", "diff", "show", "write"]
