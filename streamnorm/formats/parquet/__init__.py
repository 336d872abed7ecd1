"""Parquet files: `source` reads them, `sink` writes them; `footer`, `pages` and `thrift` look first."""
