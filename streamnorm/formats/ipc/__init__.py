"""Arrow IPC files and streams: `source` reads them, by `file`, `stream` and `metadata`, `sink` writes them."""
