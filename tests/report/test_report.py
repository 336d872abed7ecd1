"""What is shown of states: tables, pages and notebooks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from samples import SAMPLES, sample
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, OutputError
from streamnorm.report.figures import figures_of
from streamnorm.report.page import page
from streamnorm.report.shapes import bars_of
from streamnorm.report.text import diff_table, show_table
from streamnorm.report.words import wide
from streamnorm.states.file import state_of

SCALERS = ["standard", "minmax", "maxabs", "robust", "quantile", "power", "squashing", "kbins", "winsor"]
NASTY = '</title><script>alert("1")</script>\x1b[31m\n\u202e温度'


def table_of(rows: int, seed: int = 0) -> pa.Table:
    """Every odd column there is."""
    return pa.table({name: sample(name, rows, seed) for name in SAMPLES})


def state(table: pa.Table, scaler: str = "standard", profile: bool = True, **options):
    return state_of(sn.TableNormalizer(scaler, profile=profile, **options).fit(table))


class Page(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, {name: value or "" for name, value in attributes}))

    def handle_data(self, data):
        self.words += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.filterwarnings("ignore:n_quantiles")
@pytest.mark.parametrize("profile", [False, True])
@pytest.mark.parametrize("scaler", SCALERS)
def test_every_odd_column_can_be_shown(scaler, profile):
    before, after = (state(table_of(300, seed), scaler, profile) for seed in (0, 1))
    text = page(before, after)
    drawn = [part for tag, a in Page(text).tags for name, part in a.items() if name in ("d", "x", "cx")]
    assert not [part for part in drawn if re.search("nan|inf|e[+-]", part)]
    assert len(Page(page(before)).all("article")) == len(SAMPLES)
    for column in figures_of(before):
        json.dumps(column.to_json(), allow_nan=False)
    assert len(show_table(before, 100).splitlines()) >= len(SAMPLES)
    assert len(diff_table(sn.report.diff(before, after), 100).splitlines()) > len(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("rows", [1, 7, 6000])
def test_bars_hold_all_values(name, rows):
    (column,) = figures_of(state(pa.table({"x": sample(name, rows)})))
    if column.shape is None:
        assert column.counts["values"] == 0
        return
    bars = bars_of([column.shape], 36)
    assert (np.diff(bars.edges) > 0).all()
    assert bars.shares[0].sum() + bars.below[0] + bars.above[0] == pytest.approx(1, abs=1e-12)
    assert bars.shares[0].min() >= -1e-12


def test_bars_are_counted_as_numpy_counts():
    x = np.random.default_rng(0).integers(0, 100, 3000)
    (column,) = figures_of(state(pa.table({"x": x})))
    bars = bars_of([column.shape], 25)
    assert (bars.shares[0] * 3000).round(9).tolist() == np.histogram(x, bars.edges)[0].tolist()


def test_figures_are_those_of_the_values():
    x = np.random.default_rng(0).lognormal(size=999)
    (column,) = figures_of(state(pa.table({"x": [*x, None]}), "minmax"))
    assert (column.least, column.greatest, column.rows) == (x.min(), x.max(), 1000)
    assert column.quantiles[0.25] == np.quantile(x, 0.25)
    assert column.mean == pytest.approx(x.mean(), rel=1e-15)
    assert column.missing == 0.001


FLAGS = {
    "constant": (lambda r: np.full(500, 0.1), "constant"),
    "all missing": (lambda r: np.full(500, np.nan), "all missing"),
    "cauchy": (lambda r: r.standard_cauchy(5000), "heavy tails"),
    "two degrees of freedom": (lambda r: r.standard_t(2, 5000), "heavy tails"),
    "zeros": (lambda r: r.poisson(0.1, 500), "mostly one value"),
    "normal": (lambda r: r.normal(size=5000), None),
    "uniform": (lambda r: r.uniform(size=5000), None),
    "exponential": (lambda r: r.exponential(size=5000), None),
}


@pytest.mark.parametrize("name", FLAGS)
def test_flags(name):
    make, flag = FLAGS[name]
    (column,) = figures_of(state(pa.table({"x": make(np.random.default_rng(0))})))
    assert column.flags == ([flag] if flag else [])


def test_infinities_are_flagged():
    (column,) = figures_of(state(pa.table({"x": [1.0, np.inf, 2.0]}), infinite="skip"))
    assert column.flags == ["1 infinite"]
    for rest in ([], [None]):
        (column,) = figures_of(state(pa.table({"x": [np.inf] * 1000 + rest}), infinite="skip"))
        assert column.flags == ["no finite value", "1,000 infinite"]


# ---- tables ----


@pytest.mark.parametrize("width", [30, 60, 80, 120, 200])
def test_a_table_fits_the_terminal(width):
    names = ["x", "a" * 70, "温度" * 20, "tab\tline\nescape\x1b[2J"]
    table = pa.table({name: np.random.default_rng(i).normal(size=50) for i, name in enumerate(names)})
    before, after = state(table), state(table.slice(10))
    for text in (show_table(before, width), diff_table(sn.report.diff(before, after), width)):
        table_part = text.split("\n\n")[0].splitlines()
        assert len(table_part) == 5
        assert max(map(wide, table_part)) <= width
        assert text.replace("\n", "").isprintable()
    assert "a" * 70 in show_table(before)


def test_a_wider_terminal_shows_more():
    texts = [show_table(state(table_of(50)), width) for width in (60, 90, 300)]
    headings = [set(re.split("  +", text.splitlines()[0])) for text in texts]
    assert len(headings[0]) < len(headings[1]) < len(headings[2])
    assert "histogram" in headings[1]


def test_what_no_column_has_is_no_heading():
    heading = show_table(state(pa.table({"x": [1.0, 2.0]}), profile=False)).splitlines()[0]
    assert heading.split() == ["column", "type", "scaler", "rows", "missing", "%", "mean", "sd"]


def on_a_terminal(width: int, *words: object) -> str:
    """Run the command on a real terminal of that width."""
    pty = pytest.importorskip("pty", reason="needs a system with terminals")
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    variables = {k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-c", "from streamnorm.cli import main; main()", *map(str, words)]
    with subprocess.Popen(command, stdout=theirs, stdin=theirs, env=variables):
        os.close(theirs)
        read = b""
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:  # as Linux says that the other end is closed
                break
            if not more:
                break
            read += more
    os.close(ours)
    return read.decode().replace("\r\n", "\n")


def test_show_on_a_terminal_and_in_a_pipe(tmp_path, capsys):
    sn.save(sn.TableNormalizer(profile=True).fit(table_of(100)), tmp_path / "s.json")
    shown = on_a_terminal(72, "show", tmp_path / "s.json")
    assert "▁" in shown
    assert max(map(wide, shown.split("\n\n")[0].splitlines())) <= 72
    piped = streamnorm(capsys, "show", tmp_path / "s.json").out
    assert piped.isascii()
    assert "75 %" in piped.splitlines()[0]


def test_json_is_complete(tmp_path, capsys):
    sn.save(sn.TableNormalizer("minmax", profile=True).fit(table_of(100)), tmp_path / "s.json")
    document = json.loads(streamnorm(capsys, "show", tmp_path / "s.json", "--json").out, parse_constant=pytest.fail)
    normal = next(c for c in document["columns"] if c["name"] == "normal")
    x = sample("normal", 100)
    assert (normal["rows"], normal["least"], normal["data_min"]) == (100, x.min(), x.min())
    assert normal["quantiles"]["0.5"] == np.median(x)
    assert sum(normal["histogram"]["shares"]) == pytest.approx(1)
    assert normal["std"] == pytest.approx(x.std(), rel=1e-14)


# ---- pages ----


@pytest.fixture(scope="module")
def twenty() -> list[pa.Table]:
    tables = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        columns = {f"{NASTY}{i}": rng.lognormal(seed / 4, 0.5 + i / 10, 20000) - 0.5 for i in range(10)}
        columns |= {f"column number {i}": rng.normal(seed * i / 10, 1, 20000) for i in range(10)}
        tables.append(pa.table(columns))
    return tables


@pytest.mark.parametrize("scaler", ["standard", "quantile"])
def test_a_page_stands_alone_and_is_small(twenty, scaler):
    before, after = (state(table, scaler) for table in twenty)
    for text in (page(before), page(before, after)):
        assert len(text.encode()) < 100_000
        found = Page(text)
        assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in found.tags}
        attributes = [(name, value) for _, given in found.tags for name, value in given.items()]
        assert not [name for name, _ in attributes if name.startswith("on")]
        assert [value for name, value in attributes if name in ("href", "src") and not value.startswith("#c")] == []
        assert "url(" not in text
        assert "http:" not in text
        assert "https:" not in text


def test_names_are_escaped(twenty):
    before, after = (state(table) for table in twenty)
    text = page(before, after, (NASTY, "after"))
    assert "<script" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert '</title><script>alert("1")</script>\\x1b[31m\\n\\u202e温度3' in Page(text).words


def test_a_page_can_be_read_aloud(twenty):
    found = Page(page(*(state(table) for table in twenty)))
    assert found.all("html")[0]["lang"] == "en"
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in found.all("svg"))
    assert len(found.all("svg")) == 20 * 4
    ids = [a["id"] for _, a in found.tags if "id" in a]
    assert len(set(ids)) == len(ids)
    assert {a["href"][1:] for a in found.all("a")} <= set(ids)
    assert {a["aria-labelledby"] for a in found.all("article")} <= set(ids)
    assert all(th.get("scope") for th in found.all("th"))


def test_the_worst_drift_comes_first(twenty):
    words = Page(page(*(state(table) for table in twenty))).words
    places = [words.index(f"column number {i}") for i in (9, 6, 3)]
    assert places == sorted(places)


def test_a_page_depends_on_the_rows_alone(twenty):
    before, after = twenty
    whole = page(state(before), state(after))
    parts = sn.TableNormalizer(profile=True)
    for start in (10000, 0):
        parts.partial_fit(before.slice(start, 10000))
    assert page(state_of(parts), state(after)) == whole


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_words_stand_out(theme):
    """The contrast of WCAG 2.2, level AA: 4.5 for words, 3 for the marks of a picture."""
    style = resources.files("streamnorm.report").joinpath("style.css").read_text()
    block = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[theme]
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", block))

    def contrast(a: str, b: str) -> float:
        one, other = sorted((luminance(colours[a]), luminance(colours[b])), reverse=True)
        return (one + 0.05) / (other + 0.05)

    for word in ("ink", "soft", "a", "b"):
        assert min(contrast(word, "card"), contrast(word, "page")) >= 4.5
    for word in ("good", "warn", "bad"):
        assert contrast(word, f"{word}-bg") >= 4.5
    assert contrast("soft", "band") >= 4.5


def test_report_from_the_shell(tmp_path, capsys, twenty):
    for name, table in zip("ab", twenty, strict=True):
        pq.write_table(table, tmp_path / f"{name}.parquet")
        fitted = streamnorm(
            capsys, "fit", tmp_path / f"{name}.parquet", "--state", tmp_path / f"{name}.json", "--profile"
        )
        assert fitted.code == 0
    states, html = [tmp_path / "a.json", tmp_path / "b.json"], tmp_path / "r.html"
    assert streamnorm(capsys, "report", states[0], "--output", html).code == 0
    one = html.read_text()
    assert "Statistics of a.json" in one
    refused = streamnorm(capsys, "report", *states, "--output", html)
    assert (refused.code, html.read_text()) == (1, one)
    assert streamnorm(capsys, "report", *states, "--output", html, "--overwrite").code == 0
    assert "Drift from a.json to b.json" in html.read_text()
    for clash in states:
        before = clash.read_bytes()
        assert streamnorm(capsys, "report", *states, "--output", clash, "--overwrite").code == 1
        assert clash.read_bytes() == before
    assert streamnorm(capsys, "report", tmp_path / "none.json", "--output", tmp_path / "n.html").code == 1
    assert not (tmp_path / "n.html").exists()


def test_each_state_has_its_colour(twenty):
    before, after = state(twenty[0].select([0])), state(twenty[1].select([1]))
    gone, new = Page(page(before, after)).all("article")
    assert (gone["class"], new["class"]) == ("card", "card new")
    sparks = re.findall(r'class="spark".*?<path class="(.*?)"', page(before, after))
    assert sparks == ["bars", "bars after"]


def test_numbers_of_an_axis_have_room():
    seconds = 1.7e9 + np.random.default_rng(0).normal(0, 60, 5000)
    figures = re.findall(r'<svg class="plot".*?</svg>', page(state(pa.table({"x": seconds}))))
    for figure in figures:
        spans = []
        for x, place, text in re.findall(r'<text x="([\d.]+)" y="\d+"(?: class="(.)")?>(.*?)</text>', figure):
            wide, left = 6 * len(text), float(x)
            left -= {"s": 0, "e": wide, "": wide / 2}[place]
            spans.append((left, left + wide))
        assert len(spans) >= 2
        assert spans[0][0] >= 0
        assert spans[-1][1] <= 360
        assert all(one[1] < other[0] for one, other in pairwise(spans))


def test_axes_of_whole_numbers_have_no_halves():
    text = page(state(pa.table({"month": [*range(1, 13)]})))
    raw = re.findall(r'<svg class="plot".*?</svg>', text)[0]
    assert re.findall(r">([\d.]+)</text>", raw) == ["5", "10"]


def test_what_no_column_has_is_no_heading_of_a_page():
    assert {"histogram", "median", "greatest"}.isdisjoint(
        re.findall(r"<th[^>]*>([^<]*)</th>", page(state(pa.table({"x": [1.0, 2.0]}), profile=False)))
    )


def test_pages_without_histograms_say_so_once():
    one, two = (state(table_of(50, seed), profile=False) for seed in (0, 1))
    for text in (page(one), page(one, two)):
        assert text.count("No histogram was kept") == 1
        found = Page(text)
        assert [a.get("class") for a in found.all("div")].count("bare") == 1
        assert len(found.all("article")) == len(SAMPLES)
        assert not found.all("figure")


def test_a_page_without_values_says_so():
    text = page(state(pa.table({"x": pa.array([None, None], pa.float64())})))
    assert "There is no value to show." in text
    assert "No histogram was kept" not in text


def test_a_state_without_files_says_so(twenty):
    assert "no file on record; digest" in show_table(state(twenty[0]))
    assert "no file on record, digest" in Page(page(state(twenty[0]))).words


def test_keys_are_reported(tmp_path, capsys):
    shops = [f"{NASTY} {i}" for i in range(5) for _ in range(40)]
    x = np.random.default_rng(0).normal(size=200)
    moved = np.where(np.arange(200) // 40 == 3, 5.0, 0.0)
    states = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, values in zip(states, (x, x + moved), strict=True):
        sn.save(sn.TableNormalizer(by="shop", profile=True).fit(pa.table({"shop": shops, "x": values})), path)
    html = tmp_path / "r.html"
    assert streamnorm(capsys, "report", *states, "--output", html).code == 0
    text = html.read_text()
    assert "<script" not in text
    words = Page(text).words
    assert "by shop: 5 keys of 40 to 40 rows" in words
    assert "5 keys in both, 0 gone, 0 new" in words
    shift = 5 / x[120:160].std()
    assert re.search(rf"温度 3x{shift:.3g}", words)
    one = tmp_path / "one.html"
    assert streamnorm(capsys, "report", states[1], "--key", shops[120], "--output", one).code == 0
    words = Page(one.read_text()).words
    assert "Statistics of b.json for " in words
    assert f"mean{(x + moved)[120:160].mean():.4g}" in words
    assert "<h2>Keys</h2>" not in one.read_text()
    shown = json.loads(sn.report.show(states[1], key=[shops[120]]).to_json())
    assert shown["columns"][0]["rows"] == 40
    assert "by shop: 5 keys of 40 to 40 rows" in Page(sn.report.show(states[1])._repr_html_()).words
    (drift,) = sn.report.diff(*states, key=[shops[120]])
    assert drift.shift == pytest.approx(5 / x[120:160].std(), rel=1e-12)
    unknown = streamnorm(capsys, "report", states[1], "--key", "9", "--output", tmp_path / "none.html")
    assert (unknown.code, "there is no key '9': the keys are " in unknown.err) == (1, True)
    assert not (tmp_path / "none.html").exists()


def test_the_verdict_goes_before_figures():
    heading = diff_table(sn.report.diff(state(table_of(50)), state(table_of(50, 1))), 40).splitlines()[0]
    assert heading.split()[:3] == ["column", "PSI", "verdict"]


def test_report_from_python(tmp_path, twenty):
    before, after = (sn.TableNormalizer(profile=True).fit(table) for table in twenty)
    sn.report.write(before, after, output=tmp_path / "r.html")
    assert "Drift from before to after" in (tmp_path / "r.html").read_text()
    with pytest.raises(OutputError, match=r"r\.html exists"):
        sn.report.write(before, output=tmp_path / "r.html")


# ---- notebooks ----


def test_notebooks_see_what_was_learnt():
    normalizer = sn.TableNormalizer(profile=True)
    assert "<table><thead>" not in normalizer._repr_html_()
    normalizer.fit(pa.table({"wind <b>": [1.0, 2.0, 4.0]}))
    for text in (normalizer._repr_html_(), normalizer._repr_mimebundle_()["text/html"]):
        assert "wind &lt;b&gt;" in text
        assert "<svg" in text
    shown = sn.report.show(normalizer)
    assert [td for td, _ in Page(shown._repr_html_()).tags if td == "svg"] == ["svg"]
    assert "wind <b>" in repr(shown)
    assert json.loads(shown.to_json())["columns"][0]["mean"] == pytest.approx(7 / 3)


def test_a_key_is_named_as_it_is(tmp_path):
    table = pa.table({"episode": [1, 1, 17, None], "x": [1.0, 2.0, 3.0, 9.0]})
    fitted = sn.TableNormalizer(by="episode", profile=True).fit(table)
    for key, mean in ((17, 3.0), ("17", 3.0), (["17"], 3.0), ((17,), 3.0), ([None], 9.0), (None, 3.75), ((), 3.75)):
        (column,) = json.loads(sn.report.show(fitted, key=key).to_json())["columns"]
        assert column["mean"] == mean
    with pytest.raises(DataError, match="there is no key '0'"):
        sn.report.show(fitted, key=0)
    sn.report.write(fitted, output=tmp_path / "page.html", key=17)
    assert " for 17" in (tmp_path / "page.html").read_text()
    assert [drift.psi for drift in sn.report.diff(fitted, fitted, key=1)] == [0.0]
