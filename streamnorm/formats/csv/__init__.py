"""CSV files: `source` reads them, by `reader` and `pieces`, `sink` writes them, `checks` explains what is wrong."""
