"""Normalizers: each binds a summary to a plan. `family` is the table of them."""
