"""Looking at states: `show` one, `diff` two, and write an HTML `page` of either.

Examples
--------
>>> import numpy as np, pyarrow as pa, streamnorm as sn
>>> x = np.random.default_rng(0).normal(size=1000)
>>> before, after = (sn.TableNormalizer(profile=True).fit(pa.table({"x": v})) for v in (x, x + 1))
>>> (drift,) = sn.report.diff(before, after)
>>> drift.verdict, round(drift.psi, 2), round(drift.shift, 2)
('major', 0.98, 1.02)
"""
