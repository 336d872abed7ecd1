"""Prepare a checkout for the package index: ``python .github/release.py REPOSITORY-URL TAG``.

The tag must be the version. Links of the README that lead into the repository become addresses, and the project's
addresses are added to its metadata, since only the place that builds a release knows where the repository is.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def prepare(root: Path, url: str, tag: str) -> None:
    """Write the README and pyproject.toml of a release.

    Parameters
    ----------
    root : Path
        Top of the checkout, whose files are changed.
    url : str
        Address of the repository, without a slash at the end.
    tag : str
        Name of the tag, "v" and the version.
    """
    source = (root / "streamnorm" / "version.py").read_text(encoding="utf-8")
    version = re.search(r'__version__ = "(.+)"', source)[1]
    if tag != f"v{version}":
        raise SystemExit(f"the tag {tag} is not that of version {version}, v{version}: change one of them.")
    readme, project = root / "README.md", root / "pyproject.toml"
    text = readme.read_text(encoding="utf-8")
    text = re.sub(r"!\[([^]]*)\]\((?!\w+:|#)", rf"![\1]({url}/raw/{tag}/", text)
    text = re.sub(r"(?<!!)\[([^]]*)\]\((?!\w+:|#)", rf"[\1]({url}/blob/{tag}/", text)
    readme.write_text(text, encoding="utf-8")
    places = {"Homepage": url, "Source": url, "Issues": f"{url}/issues", "Changelog": f"{url}/blob/{tag}/CHANGELOG.md"}
    table = "".join(f'{name} = "{place}"\n' for name, place in places.items())
    project.write_text(f"{project.read_text(encoding='utf-8')}\n[project.urls]\n{table}", encoding="utf-8")


if __name__ == "__main__":
    prepare(ROOT, *sys.argv[1:])
