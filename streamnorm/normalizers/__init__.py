"""Normalizers: estimators that bind a summary to a plan, as scikit-learn has them.

The only room that imports scikit-learn; it imports `tables`, `rules` and what those import. The door is lazy: names
are imported from their files, so that nobody waits for scikit-learn unasked. Begin with `estimators`.
"""
