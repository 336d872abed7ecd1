"""Print the lowest versions that pyproject.toml allows, one a line, as pip's constraints."""

import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
print("\n".join(bound.replace(">=", "==") for bound in project["dependencies"]))
