"""Build the site: ``python .github/site/build.py OUT``, with the extra 'docs' installed.

The pages are the README, those of `streamnorm/docs`, and the changes, as they stand in the repository; OUT/VERSION gets
them as HTML with search. OUT/index.html leads to the newest version there; OUT/versions.html, which all pages link to,
lists the others. A warning is an error.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
#: Where each page that is not in streamnorm/docs stands in the repository, by its name in the site.
ELSEWHERE = {
    "index.md": "README.md",
    "changes.md": "CHANGELOG.md",
    "contributing.md": ".github/CONTRIBUTING.md",
    "security.md": ".github/SECURITY.md",
}
CONTENTS = """
```{toctree}
:hidden:
:caption: Use
guide
commands
python
speed
compatibility
changes
```

```{toctree}
:hidden:
:caption: Take part
architecture
contributing
security
```
"""


def gather(folder: Path) -> None:
    """Copy the pages and pictures to one folder, with links between them as they lie there."""
    pages = {page.name: page for page in (ROOT / "streamnorm" / "docs").glob("*.md")}
    pages |= {name: ROOT / place for name, place in ELSEWHERE.items()}
    homes = {str(page.relative_to(ROOT)): name for name, page in pages.items()}
    for name, page in pages.items():
        text = page.read_text(encoding="utf-8")
        text = text.replace("](../../data/", "](data/")
        text = re.sub(r"\]\(([^)#]+\.md)", lambda link: f"]({homes.get(link[1], link[1])}", text)
        text = re.sub(
            r"^(- `\S+` : .*)$", r"\1\\", text, flags=re.MULTILINE
        )  # what a parameter is, on a line of its own
        (folder / name).write_text(text + (CONTENTS if name == "index.md" else ""), encoding="utf-8")
    (folder / "data").mkdir()
    for kind in ("*.png", "*.svg"):
        for picture in (ROOT / "data").glob(kind):
            shutil.copy(picture, folder / "data")
    shutil.copy(HERE / "conf.py", folder)
    shutil.copytree(HERE / "templates", folder / "templates")


def build(out: Path) -> Path:
    """Build the version of the checkout, and give its folder."""
    source = (ROOT / "streamnorm" / "version.py").read_text(encoding="utf-8")
    version = re.search(r'__version__ = "(.+)"', source)[1]
    with tempfile.TemporaryDirectory() as folder:
        gather(Path(folder))
        words = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-D", f"release={version}"]
        subprocess.run([sys.executable, *words, folder, out / version], check=True)
    versions = sorted((page.parent.name for page in out.glob("*/index.html")), key=_numbers, reverse=True)
    newest = versions[0]
    _write_page(out / "index.html", [newest], f'<meta http-equiv="refresh" content="0; {newest}/">')
    _write_page(out / "versions.html", versions)
    return out / version


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _write_page(page: Path, versions: Iterable[str], head: str = "") -> None:
    items = "".join(f'<li><a href="{version}/">streamnorm {version}</a></li>' for version in versions)
    page.write_text(
        '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"{head}<title>streamnorm</title><h1>streamnorm</h1><ul>{items}</ul>\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    print(build(Path(sys.argv[1])) / "index.html")
