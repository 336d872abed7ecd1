"""Normalise a folder as a recipe says: ``python pipelines/recipe_etl.py IN OUT --recipe RECIPE.toml``.

Where there is no recipe yet, one is written from a look at the data, to be read, edited and put under version
control, and nothing else is done. With a recipe, what is new in IN since the last run is added to the state,
and every file of IN is written below OUT, normalised.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import streamnorm as sn
from streamnorm.errors import StreamnormError
from streamnorm.inputs import expand
from streamnorm.jobs import recipe_for


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Normalise a folder of files as a recipe says.")
    parser.add_argument("input", metavar="IN")
    parser.add_argument("output", metavar="OUT")
    parser.add_argument("--recipe", metavar="RECIPE.toml", required=True, help="written where it does not exist")
    parser.add_argument("--state", help="where to keep what was learnt; by default beside the recipe")
    given = parser.parse_args(words)

    recipe = Path(given.recipe)
    state = Path(given.state or recipe.with_suffix(".json"))
    try:
        if not recipe.exists():
            recipe.write_text(recipe_for(expand([given.input])), encoding="utf-8")
            print(f"{recipe} written: edit it, then run this again")
            return
        wanted = sn.TableNormalizer.from_recipe(recipe)
        normalizer = sn.fit(given.input, wanted, state=state, update=state.exists())
        written = sn.transform(normalizer, given.input, given.output, overwrite=True)
    except StreamnormError as error:
        sys.exit(f"error: {error}")
    print(f"{len(written)} files written, {len(normalizer.sources_)} counted, state {normalizer.digest()}")


if __name__ == "__main__":
    main()
