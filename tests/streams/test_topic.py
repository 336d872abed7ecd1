"""Topics: each message counts once, is sent on at least once, and what cannot be read is told apart."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from pathlib import Path

import brokers as support
import crashes
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, SourceError, StateError
from streamnorm.jobs import merge

SCHEMA = pa.schema([("x", pa.float64()), ("n", pa.int64()), ("shop", pa.string())])
ROWS = [{"x": x, "n": n, "shop": "ab"[n % 2]} for n, x in enumerate(np.random.default_rng(5).normal(size=90).tolist())]


@pytest.fixture(scope="module")
def cluster():
    with support.brokers() as found:
        yield found


@pytest.fixture
def topic(request):
    return request.node.name.replace("[", ".").replace("]", "").replace(" ", "-").replace(",", "-")[:100]


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "state.json"


def fit(rows) -> sn.TableNormalizer:
    return sn.TableNormalizer().fit(pa.Table.from_pylist(list(rows), SCHEMA))


def follow(address, path, **choices):
    return sn.follow(address, state=path, **{"format": "json", "schema": SCHEMA, "once": True, **choices})


def send_thirds(cluster, topic, rows=ROWS):
    for partition in range(3):
        cluster.send(topic, rows[partition::3], partition)


def test_each_message_counts_once(cluster, topic, path):
    send_thirds(cluster, topic, ROWS[:60])
    assert follow(cluster.address(topic), path) == fit(ROWS[:60])
    send_thirds(cluster, topic, ROWS[60:])
    followed = follow(cluster.address(topic), path)
    assert followed == fit(ROWS)
    assert followed.positions_.to_json() == {f"{topic}/{i}": {"ranges": [[0, 30]]} for i in range(3)}
    before = path.read_bytes()
    assert follow(cluster.address(topic), path) == followed
    assert path.read_bytes() == before


def test_results_have_the_key_and_what_was_not_normalised(cluster, topic, path):
    cluster.send(topic, [{**row, "beside": [1.10, {"a": None}]} for row in ROWS], key=b"key")
    cluster.send(topic, [None], key=b"gone")
    normalizer = follow(cluster.address(topic), path, output=cluster.address(topic + "-out"))
    found = cluster.read(topic + "-out")
    assert [message.key() for message in found].count(b"gone") == 1
    values = [json.loads(message.value()) for message in found if message.value() is not None]
    expected = normalizer.transform(pa.Table.from_pylist(ROWS, SCHEMA)).to_pylist()
    assert values == [{**row, "beside": [1.10, {"a": None}]} for row in expected]
    assert {message.key() for message in found} == {b"key", b"gone"}


def test_a_scaler_of_all_columns_follows_too(cluster, topic, path):
    rows = [{"x": row["x"], "n": row["n"]} for row in ROWS]
    cluster.send(topic, rows)
    schema = pa.schema([("x", pa.float64()), ("n", pa.int64())])
    sn.save(sn.StandardScaler().partial_fit(pa.Table.from_pylist(rows[:1], schema)), path)
    normalizer = follow(cluster.address(topic), path, schema=schema, output=cluster.address(topic + "-out"))
    assert isinstance(normalizer, sn.StandardScaler)
    values = [json.loads(message.value()) for message in cluster.read(topic + "-out")]
    assert values == normalizer.transform(pa.Table.from_pylist(rows, schema)).to_pylist()


def test_texts_of_all_kinds_stay(cluster, topic, path):
    texts = ["é", "\u2028", "\U0001f600", "\x00", '"\\']
    cluster.send(topic, [{"x": 1.0, "n": 1, "text": text} for text in texts])
    follow(cluster.address(topic), path, output=cluster.address(topic + "-out"))
    assert [json.loads(message.value())["text"] for message in cluster.read(topic + "-out")] == texts


def test_what_a_recipe_drops_adds_and_cannot_tell(cluster, topic, path):
    cluster.send(topic, [{"x": None, "n": 1, "shop": "a"}, {"x": 2.0, "n": 2, "shop": "b"}])
    table = sn.TableNormalizer(columns={"shop": "drop", "n": "minmax"}, suffix="_z")
    follow(cluster.address(topic), path, normalizer=table, output=cluster.address(topic + "-out"))
    values = [json.loads(message.value()) for message in cluster.read(topic + "-out")]
    assert values == [{"x": None, "n": 1, "x_z": None, "n_z": 0.0}, {"x": 2.0, "n": 2, "x_z": 0.0, "n_z": 1.0}]


def test_arrow_messages(cluster, topic, path):
    def stream(table):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(table)
        return sink.getvalue().to_pybytes()

    table = pa.Table.from_pylist(ROWS, SCHEMA)
    narrow = table.set_column(0, "x", table["x"].cast(pa.float32()))
    parts = [table.slice(0, 10), table.slice(10, 0), narrow.slice(10, 5), narrow.slice(0, 0), table.slice(15, 75)]
    cluster.send(topic, [*map(stream, parts), stream(table)[:-20], b"", b"ARROW1"])
    output = cluster.address(topic + "-out")
    normalizer = follow(cluster.address(topic), path, format="arrow", schema=None, bad="skip", output=output)
    assert normalizer == sn.TableNormalizer().partial_fit(parts)
    found = [pa.ipc.open_stream(message.value()).read_all() for message in cluster.read(topic + "-out")]
    assert found == [normalizer.transform(part) for part in parts]
    assert normalizer.positions_.of(f"{topic}/0").apart == {"unreadable message": 3}


BAD = {
    "no JSON": b"nonsense",
    "nothing": b"",
    "a list": b"[1]",
    "two objects": b'{"x": 1}{"x": 2}',
    "half an object": b'{"x": 1',
    "the rest of it": b', "n": 2}',
    "a text for a number": b'{"x": "a"}',
    "a fraction for an integer": b'{"n": 1.5}',
    "beyond 64 bits": b'{"n": 18446744073709551616}',
    "no UTF-8": b'{"x": 1, "shop": "\xff"}',
    "no UTF-8 in what is not read": b'{"x": 1, "other": "\xff"}',
    "a field twice": b'{"x": 1, "x": 2}',
}


@pytest.mark.parametrize("case", BAD)
def test_a_message_that_cannot_be_read(case, cluster, topic, path, caplog):
    cluster.send(topic, [*ROWS[:7], BAD[case], *ROWS[7:20]])
    with pytest.raises(DataError, match=rf"{topic}/0, offset 7: the message .*--bad skip"):
        follow(cluster.address(topic), path)
    assert not path.exists()
    with caplog.at_level(logging.INFO, "streamnorm"):
        followed = follow(cluster.address(topic), path, bad="skip", output=cluster.address(topic + "-out"))
    assert f"{topic}/0, offset 7: the message" in caplog.text
    assert followed == fit(ROWS[:20])
    assert followed.positions_.to_json() == {f"{topic}/0": {"ranges": [[0, 21]], "apart": {"unreadable message": 1}}}
    assert len(cluster.read(topic + "-out")) == 20


def test_messages_that_make_one_together_are_not_one(cluster, topic, path):
    halves = [b'{"x": 1, "other": [{"y": 1}', b'{"y": 2}], "n": 3}', b'{"x": "}', b'{"n": 1}{"n": 2}']
    cluster.send(topic, [value for half in halves for value in (half, ROWS[0])])
    followed = follow(cluster.address(topic), path, bad="skip")
    assert followed == fit([ROWS[0]] * 4)


def test_json_over_several_lines_and_deep(cluster, topic, path):
    deep = b'{"x": 1, "other": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    cluster.send(topic, [json.dumps(row, indent=2).encode() for row in ROWS] + [deep])
    assert follow(cluster.address(topic), path, bad="skip") == fit([*ROWS, {"x": 1.0}])
    other = path.with_name("other.json")  # what is written again is read by Python, too, which stops before that depth
    output = cluster.address(topic + "-out")
    assert follow(cluster.address(topic), other, bad="skip", output=output) == fit(ROWS)


def test_tombstones_and_transaction_markers(cluster, topic, path):
    cluster.send(topic, [*ROWS[:5], None, None])
    cluster.transaction(topic, ROWS[5:9])
    cluster.transaction(topic, ROWS[9:10])
    assert follow(cluster.address(topic), path) == fit(ROWS[:10])
    cluster.send(topic, ROWS[10:20])
    followed = follow(cluster.address(topic), path)
    assert followed == fit(ROWS[:20])
    assert followed.positions_.to_json() == {f"{topic}/0": {"ranges": [[0, 24]], "apart": {"tombstone": 2}}}


def test_what_was_deleted_before_it_was_counted(cluster, topic, path, caplog):
    cluster.send(topic, ROWS[:10])
    follow(cluster.address(topic), path)
    filler = {"x": 0.0, "other": "a" * 100_000}
    cluster.send(topic, [{**filler, "n": n} for n in range(200)])
    followed = follow(cluster.address(topic), path)
    position = followed.positions_.of(f"{topic}/0")
    assert position.ranges == ((0, 210),)
    lost = position.apart["deleted offset"]
    assert 100 < lost < 200
    assert followed == fit([*ROWS[:10], *({"x": 0.0, "n": n} for n in range(lost, 200))])
    assert f"{topic}/0: offsets 10 to {lost + 9} were deleted before they were counted" in caplog.text


def test_a_topic_that_ends_before_what_was_counted(cluster, topic, path):
    cluster.send(topic, ROWS[:10])
    with sn.following(path) as state:
        state.add(pa.Table.from_pylist(ROWS, SCHEMA), {f"{topic}/0": (0, 90)})
    with pytest.raises(SourceError, match=f"{topic}/0 ends at offset 10, and was counted up to 90"):
        follow(cluster.address(topic), path)


def test_a_hole_between_merged_states_is_filled(cluster, topic, tmp_path, capsys):
    cluster.send(topic, ROWS)
    for name, start, end in (("a", 0, 20), ("b", 40, 60)):
        with sn.following(tmp_path / f"{name}.json") as state:
            state.add(pa.Table.from_pylist(ROWS[start:end], SCHEMA), {f"{topic}/0": (start, end)})
    assert (
        streamnorm(capsys, "merge", tmp_path / "a.json", tmp_path / "b.json", "--output", tmp_path / "m.json").code == 0
    )
    followed = follow(cluster.address(topic), tmp_path / "m.json")
    assert followed == fit(ROWS)
    assert followed.positions_.of(f"{topic}/0").ranges == ((0, 90),)


def test_an_infinity_is_told_with_its_offset(cluster, topic, path):
    schema = pa.schema([("x", pa.float32())])
    cluster.send(topic, [{"x": 1.0}, None, {"x": 2.0}, {"x": 1e39}])
    with pytest.raises(DataError, match=rf"{topic}/0, offset 3: column 'x' is infinite.*--infinite skip"):
        follow(cluster.address(topic), path, schema=schema)
    table = sn.TableNormalizer(infinite="skip")
    assert follow(cluster.address(topic), path, schema=schema, normalizer=table).learnt.where()["x"][0].summary.counts


def test_the_command(cluster, topic, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    send_thirds(cluster, topic)
    cluster.send(topic, [None, b"?"])
    Path("types.json").write_text('{"x": "double", "n": "int64"}')
    pq.write_table(pa.Table.from_pylist([], SCHEMA), "like.parquet")
    Path("client.properties").write_text("# as Kafka's own\n\nclient.id=streamnorm\nfetch.wait.max.ms = 50\n")
    words = ["follow", cluster.address(topic), "--format", "json", "--once", "--settings", "client.properties"]
    result = streamnorm(capsys, *words, "--state", "s.json", "--schema", "types.json", "--bad", "skip")
    assert result.code == 0, result.err
    assert result.err.splitlines()[-1] == "s.json: 92 messages, 1 tombstone, 1 unreadable message"
    assert sn.load("s.json") == fit(ROWS)
    result = streamnorm(capsys, *words, "--state", "t.json", "--schema", "like.parquet", "--scaler", "robust")
    assert result.code == 1
    assert result.err.startswith(f"error: {topic}/0, offset 31: the message is no JSON object")
    result = streamnorm(capsys, *words, "--state", "s.json", "--schema", "like.parquet", "--scaler", "robust")
    assert (result.code, "ask for none" in result.err) == (0, False)  # nothing has come that would be learnt from
    cluster.send(topic, ROWS[:1])
    result = streamnorm(capsys, *words, "--state", "s.json", "--schema", "like.parquet", "--scaler", "robust")
    assert (result.code, "ask for none" in result.err) == (1, True)


WRONG = {
    "kafka:///t": "kafka://HOST:PORT/TOPIC",
    "kafka://a:1/": "kafka://HOST:PORT/TOPIC",
    "kafka://a:1/a/b": "kafka://HOST:PORT/TOPIC",
    "kafka://a:1/t?groop=g": r"\?group=NAME or nothing",
    "kafka://a:1/t?group=": r"\?group=NAME or nothing",
}


@pytest.mark.parametrize("address", WRONG)
def test_addresses_that_are_none(address, path):
    with pytest.raises(DataError, match=WRONG[address]):
        follow(address, path)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"format": None}, "is json or arrow"),
        ({"format": "avro"}, "is json or arrow"),
        ({"schema": None}, "JSON does not say the types"),
        ({"format": "arrow"}, "bring their schema"),
        ({"bad": "maybe"}, "'error' or 'skip'"),
        ({"every": -1}, "number of seconds"),
        ({"output": "out"}, "the output of a topic is a topic"),
        ({"output": "kafka://a:1/t"}, "is the input"),
        ({"settings": "missing"}, "missing cannot be read"),
    ],
)
def test_choices_that_do_not_fit(choices, message, path):
    with pytest.raises((DataError, SourceError), match=message):
        follow("kafka://a:1/t", path, **choices)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"x": "dubble"}', "field 'x' is of type 'dubble'"),
        ("[]", "holds no schema"),
        ("{", "cannot be read as a schema"),
        ('{"x": 1}', "field 'x' is of type 1"),
    ],
)
def test_schemas_that_are_none(text, message, tmp_path):
    (tmp_path / "schema.json").write_text(text)
    with pytest.raises((DataError, SourceError), match=message):
        follow("kafka://a:1/t", tmp_path / "s.json", schema=tmp_path / "schema.json")


def test_brokers_that_do_not_answer_and_settings_that_are_none(path, monkeypatch, tmp_path):
    monkeypatch.setattr("streamnorm.streams.kafka._PATIENCE", 0.5)
    with pytest.raises(SourceError, match=r"the brokers of kafka://127\.0\.0\.1:1/t do not answer"):
        follow("kafka://127.0.0.1:1/t", path)
    (tmp_path / "client.properties").write_text("no.such=1")
    with pytest.raises(SourceError, match=r"no\.such"):
        follow("kafka://127.0.0.1:1/t", path, settings=tmp_path / "client.properties")


# ---- while it runs ----


def test_asked_to_end_while_messages_come(cluster, topic, path):
    stop = threading.Event()
    follower = threading.Thread(
        target=follow, args=(cluster.address(topic), path), kwargs={"once": False, "stop": stop.is_set, "every": 0.05}
    )
    cluster.send(topic, ROWS[:1])
    follower.start()
    try:
        for row in ROWS[1:]:
            cluster.send(topic, [row])
        wait_for(lambda: path.exists() and sn.load(path).positions_.of(f"{topic}/0").next == 90)
        with pytest.raises(StateError, match="being updated by another process"):
            follow(cluster.address(topic), path)
    finally:
        stop.set()
        follower.join()
    assert sn.load(path) == fit(ROWS)


def wait_for(what, seconds=20):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_command_in_order(cluster, topic, tmp_path, number):
    send_thirds(cluster, topic)
    (tmp_path / "types.json").write_text('{"x": "double", "n": "int64"}')
    words = f"follow {cluster.address(topic)} --state s.json --format json --schema types.json --every 3600"
    process = crashes.start(tmp_path, f"{words} --output {cluster.address(topic + '-out')}")
    try:
        wait_for(lambda: len(cluster.read(topic + "-out")) == 90)
        process.send_signal(number)
        ended = crashes.finish(process)
    finally:
        process.kill()
    assert (ended.code, ended.err) == (0, "s.json: 90 messages\n")
    assert sn.load(tmp_path / "s.json") == fit(ROWS)  # nothing was due to be saved before


def write_quick(folder: Path) -> Path:
    """Let members of a group be given up soon: these brokers wait for those that have left."""
    path = folder / "quick.properties"
    path.write_text("session.timeout.ms=6000\nheartbeat.interval.ms=200\n")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("same", [True, False])
def test_a_member_that_ends_between_telling_and_saving(same, cluster, topic, tmp_path, monkeypatch):
    """Its group is further than its state: it goes on from its state; another one leaves a hole, which is filled."""
    address, paths = cluster.address(topic, topic), [tmp_path / f"{i}.json" for i in range(2)]
    quick = {"settings": write_quick(tmp_path)}
    cluster.send(topic, ROWS[:10])
    follow(address, paths[0], **quick)
    cluster.send(topic, ROWS[10:20])
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="ended here"):
        patch.setattr(sn.Following, "save", lambda self, **choices: (_ for _ in ()).throw(RuntimeError("ended here")))
        follow(address, paths[0], **quick)
    assert sn.load(paths[0]) == fit(ROWS[:10])
    cluster.send(topic, ROWS[20:30])
    follow(address, paths[0 if same else 1], **quick)
    if same:
        assert sn.load(paths[0]) == fit(ROWS[:30])
        return
    assert sn.load(paths[1]) == fit(ROWS[20:30])
    merge(paths, tmp_path / "both.json")
    assert sn.load(tmp_path / "both.json").positions_.of(f"{topic}/0").ranges == ((0, 10), (20, 30))
    assert follow(cluster.address(topic), tmp_path / "both.json") == fit(ROWS[:30])


@pytest.mark.slow
def test_members_of_a_group_count_each_message_once_together(cluster, topic, tmp_path):
    address, stops = cluster.address(topic, "members"), [threading.Event() for _ in range(2)]
    choices = {"once": False, "every": 0.1, "settings": write_quick(tmp_path)}
    paths = [tmp_path / f"{i}.json" for i in range(2)]

    def start(i):
        thread = threading.Thread(target=follow, args=(address, paths[i]), kwargs={**choices, "stop": stops[i].is_set})
        thread.start()
        return thread

    def merged():
        known = [sn.load(path) for path in paths if path.exists()]
        return sum(n.learnt.groups[0].summary.counts.values[0] for n in known)

    send_thirds(cluster, topic, ROWS[:30])
    threads = [start(0)]
    try:
        wait_for(lambda: merged() == 30)
        threads.append(start(1))  # takes over some of the partitions
        time.sleep(4)
        send_thirds(cluster, topic, ROWS[30:60])
        wait_for(lambda: merged() == 60)
        stops[0].set()
        threads[0].join()
        time.sleep(3)
        send_thirds(cluster, topic, ROWS[60:])
        wait_for(lambda: merged() == 90)
    finally:
        for stop in stops:
            stop.set()
        for thread in threads:
            thread.join()
    assert paths[1].exists()
    merge(paths, tmp_path / "both.json")
    both = sn.load(tmp_path / "both.json")
    assert both == fit(ROWS)
    assert both.positions_.to_json() == {f"{topic}/{i}": {"ranges": [[0, 30]]} for i in range(3)}
