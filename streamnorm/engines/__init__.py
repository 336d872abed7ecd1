"""Somebody else's clusters, which run the same summaries: `spark` and `dask`, each imported only when asked for.

The room imports the doors of `jobs` and of what `jobs` imports. Begin with `wire`: summaries on the way, as bytes.
"""
