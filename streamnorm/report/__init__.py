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
from streamnorm.report.drift import drifts_of as drifts_of
from streamnorm.report.figures import to_json as to_json
from streamnorm.report.keys import changes_of as changes_of
from streamnorm.report.keys import of_key as of_key
from streamnorm.report.shown import Shown, diff, show, write
from streamnorm.report.text import diff_table as diff_table
from streamnorm.report.text import show_table as show_table

__all__ = ["Drift", "Shown", "diff", "show", "write"]
