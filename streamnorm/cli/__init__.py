"""The `streamnorm` command: words are parsed here, the work is done by functions anyone can call.

Nothing heavy is imported before a command needs it.
"""

from streamnorm.cli.group import cli, main

__all__ = ["cli", "main"]
