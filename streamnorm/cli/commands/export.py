"""The command that writes a state for other libraries: export."""

from __future__ import annotations

import click

from streamnorm.cli.options import STATE, listed

__all__ = ["export"]


@click.command()
@STATE
@click.option(
    "--to", required=True, metavar="TARGET", help="sklearn, onnx, sql, keras, torch, lerobot or lerobot-episodes."
)
@click.option(
    "--output", required=True, metavar="FILE",
    help="Ends in .skops or .joblib (sklearn), .onnx, .sql, .keras, .pt (torch), .json (lerobot), .jsonl "
    "(lerobot-episodes).",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
@click.option(
    "--dtype", type=click.Choice(["float64", "float32"]),
    help="onnx, torch: what is computed in; float64 by default.",
)  # fmt: skip
@click.option("--dialect", metavar="NAME", help="sql: duckdb (by default), spark, bigquery, snowflake or postgres.")
@click.option("--table", metavar="NAME", help="sql: the table to read, as schema.name too; source by default.")
@click.option("--keep", metavar="A,B,...", help="sql: other columns to pass on.")
@click.option(
    "--base",
    metavar="FILE",
    help="lerobot, lerobot-episodes: statistics of the dataset, whose other features (images) are kept.",
)
def export(
    state: str, to: str, output: str, overwrite: bool, dtype: str | None, dialect: str | None, table: str | None,
    keep: str | None, base: str | None,
) -> None:  # fmt: skip
    """Write STATE as what another library knows, for use without streamnorm."""
    from streamnorm.export import write

    options = {
        "dtype": dtype,
        "dialect": dialect,
        "table": table and table.split("."),
        "keep": listed(keep or ""),
        "base": base,
    }
    given = {name: value for name, value in options.items() if value}
    write(state, to, output, overwrite=overwrite, **given)
