"""Jobs without a disk: inputs, outputs, states and parts lie in a store, and all is as it is on a disk, bit for bit."""

from __future__ import annotations

import gzip
import json
import pickle
import re
import sys
from pathlib import Path

import crashes
import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import stores
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import OutputError, SourceError, StateError
from streamnorm.files import answers, place_of
from streamnorm.jobs import forget
from streamnorm.states import Parts, holding
from streamnorm.states.packs import blocks_of

BUCKET = "s3://bucket"
STATE = f"{BUCKET}/states/s.json"


def numbers(seed: int, rows: int = 2000) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table({"x": rng.normal(size=rows), "y": rng.integers(0, 99, rows), "shop": ["a", "b"] * (rows // 2)})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of files of every kind."""
    folder = tmp_path_factory.mktemp("stores")
    (folder / "in" / "day=1").mkdir(parents=True)
    pq.write_table(numbers(0), folder / "in" / "a b.parquet", row_group_size=700)
    pv.write_csv(numbers(1), folder / "in" / "day=1" / "c.csv")
    (folder / "in" / "day=1" / "d.csv.gz").write_bytes(gzip.compress((folder / "in/day=1/c.csv").read_bytes(), mtime=0))
    feather.write_feather(numbers(2), folder / "in" / "e.arrow")
    with pa.OSFile(str(folder / "in" / "f.arrows"), "wb") as file, pa.ipc.new_stream(file, numbers(3).schema) as stream:
        stream.write_table(numbers(3))
    return folder


@pytest.fixture(scope="module")
def server():
    with stores.server() as bucket:
        yield bucket


@pytest.fixture
def bucket(server, files, monkeypatch):
    """The bucket, with the files in it, found as any program finds it."""
    for name, value in stores.environment(server.endpoint).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    server.clear()
    server.put_tree(files)
    return server


def below(folder) -> dict[str, bytes]:
    """Give the files of a folder but for journals, as a bucket gives them."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".resume")
    }


@pytest.mark.slow
def test_the_commands_do_with_nothing_on_the_disk(bucket, files, tmp_path, monkeypatch, capsys):
    here = tmp_path / "here"
    here.mkdir()
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir(mode=0o555)
    jobs = (
        "fit {0}/in/day=1 --state {0}/s.json --keep-parts --scaler robust --quiet",
        "fit {0}/in --state {0}/s.json --update --quiet",
        "verify {0}/s.json {0}/in --quiet",
        "transform {0}/s.json {0}/in --output {0}/out --quiet",
        "transform {0}/s.json {0}/out --output {0}/back --inverse --quiet",
        "run {0}/in/e.arrow --output {0}/one.parquet --state {0}/t.json --quiet",
        "forget {0}/s.json {0}/in/day=1/c.csv --quiet",
        "merge {0}/t.json --output {0}/m.json",
        "report {0}/t.json {0}/s.json --output {0}/report.html",
        "export {0}/t.json --to sql --output {0}/t.sql",
    )
    for path in (files / "in").rglob("*.*"):
        (here / path.relative_to(files)).parent.mkdir(parents=True, exist_ok=True)
        (here / path.relative_to(files)).write_bytes(path.read_bytes())
    for words in jobs:
        ended = streamnorm(capsys, *words.format(here).split())
        assert ended.code == 0, ended.err
        monkeypatch.chdir(nowhere)
        ended = streamnorm(capsys, *words.format(BUCKET).split())
        assert (ended.code, list(nowhere.iterdir())) == (0, []), ended.err
    local, there = below(here), bucket.tree()
    packs = [sorted(tree.pop(name) for name in list(tree) if name.endswith(".parts")) for tree in (local, there)]
    assert packs[0] == packs[1]  # in a store no two are called the same
    assert there.keys() == local.keys()
    for name in local:
        if name.endswith(".json"):
            assert sn.load(here / name) == sn.load(f"{BUCKET}/{name}"), name
            assert sn.load(here / name).digest() == sn.load(f"{BUCKET}/{name}").digest(), name
        elif name != "report.html":  # names its states
            assert there[name] == local[name], name
    assert bucket.uploads() == []


@pytest.mark.slow
@pytest.mark.skipif(bool(crashes.MISSING), reason=crashes.MISSING)
def test_no_file_is_written_here(bucket, tmp_path):
    changing = "trace=openat,open,creat,rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat"
    for words in (
        f"run {BUCKET}/in/e.arrow --output {BUCKET}/out/ --state {STATE}",
        f"fit {BUCKET}/in/f.arrows --state {STATE} --update --keep-parts",
        f"transform {STATE} {BUCKET}/in/a%20b.parquet --output {BUCKET}/out/",
    ):
        log = tmp_path / "calls"
        process = stores.start(bucket.endpoint, words, tmp_path, ["strace", "-f", "-qq", "-o", log, "-e", changing])
        ended = stores.finish(process)
        assert ended.code == 0, ended.err
        calls = log.read_text(errors="replace").splitlines()
        found = [call for call in calls if re.search("O_WRONLY|O_RDWR|O_CREAT|rename|mkdir|unlink|creat[(]", call)]
        assert [call for call in found if "/dev/null" not in call] == []


def test_python_does_too(bucket, tmp_path):
    fitted = sn.fit(f"{BUCKET}/in", state=STATE)
    assert sn.load(STATE) == fitted
    written = sn.transform(STATE, f"{BUCKET}/in/e.arrow", f"{BUCKET}/out/")
    assert written == [f"{BUCKET}/out/e.arrow"]
    scaler = sn.StandardScaler().fit([[1.0], [2.0]])
    sn.save(scaler, f"{BUCKET}/scaler.json")
    assert sn.load(f"{BUCKET}/scaler.json") == scaler
    ordered = sn.BatchNormalizer().fit([[1.0], [2.0]])
    sn.save(ordered, f"{BUCKET}/ordered.json")
    assert sn.load(f"{BUCKET}/ordered.json") == ordered


def test_a_place_goes_to_another_process():
    place = pickle.loads(pickle.dumps(place_of("s3://key:secret@bucket/a/b.csv?region=eu-west-1")))
    assert (str(place), place.name, str(place.parent / "c")) == ("s3://bucket/a/b.csv", "b.csv", "s3://bucket/a/c")
    assert [str(folder) for folder in place.parents] == ["s3://bucket/a", "s3://bucket"]


def test_a_file_is_a_path(tmp_path):
    assert place_of(f"{tmp_path.as_uri()}/a%20b.json") == tmp_path / "a b.json"


def test_outputs_that_are_there_are_refused_replaced_or_gone_on_with(bucket, caplog):
    normalizer = sn.fit(f"{BUCKET}/in")
    sn.transform(normalizer, f"{BUCKET}/in", f"{BUCKET}/out")
    before = bucket.tree()
    with pytest.raises(OutputError, match=r"^s3://bucket/out/a%20b.parquet exists: .*--overwrite"):
        sn.transform(normalizer, f"{BUCKET}/in", f"{BUCKET}/out")
    bucket.put("out/e.arrow", b"another")
    with pytest.raises(OutputError, match=r"^s3://bucket/out/e.arrow exists, and is not from a stopped run"):
        sn.transform(normalizer, f"{BUCKET}/in", f"{BUCKET}/out", resume=True)
    bucket.put("out/gone.csv", b"x\n1\n")
    with caplog.at_level("INFO", "streamnorm"):
        sn.transform(normalizer, f"{BUCKET}/in", f"{BUCKET}/out", overwrite=True)
    assert "s3://bucket/out holds 1 file that none of these inputs gives, as one that is gone may have: gone.csv" in (
        caplog.text
    )
    assert bucket.tree() == {**before, "out/gone.csv": b"x\n1\n"}
    caplog.clear()
    with caplog.at_level("INFO", "streamnorm"):
        sn.transform(normalizer, f"{BUCKET}/in", f"{BUCKET}/out", resume=True)
    assert "nothing is left to do" in caplog.text
    with pytest.raises(OutputError, match="is not from a stopped run"):  # of another job
        sn.transform(normalizer, f"{BUCKET}/in", f"{BUCKET}/out", resume=True, inverse=True)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("s3://bucket/in", r"^s3://bucket/in/a%20b.parquet is an input"),
        ("s3://bucket/in/out", r"^s3://bucket/in/out/a%20b.parquet lies in the input s3://bucket/in, and"),
        (
            "s3://nowhere/out",
            r"^s3://nowhere/out cannot be written: there is no such bucket; make it",
        ),
        ("s3://bucket/a//b", r"^s3://bucket/a//b/.* cannot be written: a store takes no such name"),
        ("mock://a/b", r"^mock://b cannot be written: only s3, gs, gcs, abfs, abfss and paths can be"),
        ("nonsense://a/b", r"^nonsense://a/b cannot be used: .*; check the address"),
    ],
)
def test_outputs_that_cannot_be(bucket, output, message):
    before = bucket.tree()
    with pytest.raises(OutputError, match=message):
        sn.transform(sn.TableNormalizer().fit(numbers(0)), f"{BUCKET}/in", output)
    assert bucket.tree() == before


@pytest.mark.slow
def test_a_file_that_is_wrong_half_way_leaves_nothing(bucket):
    normalizer = sn.fit(f"{BUCKET}/in")
    text = b"x,y,shop\n" + b"1.25,2,a\n" * 3_000_000 + b"1,oops,b\n"  # more than one part of an upload
    bucket.put("in/bad.csv", text)
    before = bucket.tree()
    with pytest.raises(sn.errors.DataError, match=r"^s3://bucket/in/bad.csv.*oops"):
        sn.transform(normalizer, f"{BUCKET}/in/bad.csv", f"{BUCKET}/out/")
    assert (bucket.tree(), bucket.uploads()) == (before, [])


@pytest.mark.slow
def test_an_output_of_many_parts(bucket, tmp_path):
    table = pa.table({"x": np.random.default_rng(0).normal(size=5_000_000)})
    pq.write_table(table, tmp_path / "big.parquet")
    normalizer = sn.TableNormalizer().fit(table)
    sn.transform(normalizer, tmp_path / "big.parquet", tmp_path / "here.parquet")
    sn.transform(normalizer, tmp_path / "big.parquet", f"{BUCKET}/there.parquet")
    assert bucket.tree()["there.parquet"] == (tmp_path / "here.parquet").read_bytes()


def test_of_two_updates_at_once_the_second_is_told_and_both_are_counted(bucket):
    sn.fit(f"{BUCKET}/in/e.arrow", state=STATE, keep_parts=True)
    with holding(STATE) as held:
        known = held.read()
        sn.fit(f"{BUCKET}/in/f.arrows", state=STATE, update=True)  # by another process
        with pytest.raises(StateError, match=r"^s3://bucket/states/s.json was written by another process meanwhile"):
            held.write(known)
    sn.fit(f"{BUCKET}/in/a%20b.parquet", state=STATE, update=True)
    counted = [source.location for source in sn.load(STATE).sources_]
    assert counted == [f"{BUCKET}/in/{name}" for name in ("a%20b.parquet", "e.arrow", "f.arrows")]
    bucket.remove("in/f.arrows")
    bucket.remove("in/e.arrow")
    gone = [f"{BUCKET}/in/{name}" for name in ("e.arrow", "f.arrows")]
    assert [source.location for source in forget(STATE, gone)] == gone  # by their parts
    assert sn.load(STATE) == sn.fit(f"{BUCKET}/in/a%20b.parquet")


def test_of_two_new_states_at_once_one_is_written(bucket):
    with holding(STATE) as held:
        fitted = sn.fit(f"{BUCKET}/in/e.arrow", state=STATE)
        with pytest.raises(StateError, match="was written by another process meanwhile"):
            held.write(sn.states.state_of(sn.TableNormalizer().fit(numbers(0))))
    assert sn.load(STATE) == fitted


def test_a_store_that_does_not_compare_is_refused(bucket, monkeypatch):
    import obstore

    put = obstore.put
    monkeypatch.setattr(obstore, "put", lambda *words, mode=None, **choices: put(*words, **choices))
    before = bucket.tree()
    with pytest.raises(OutputError, match=r"^s3://bucket/states/s.json cannot be updated safely: .*keep the state on"):
        sn.fit(f"{BUCKET}/in", state=STATE)
    assert bucket.tree() == before


def test_parts_of_another_process_stay(bucket):
    """Those that came after the state was replaced may belong to an update that is under way."""
    sn.fit(f"{BUCKET}/in/e.arrow", state=STATE, keep_parts=True)
    learnt = sn.TableNormalizer().fit(numbers(7)).learnt
    other = Parts(place_of(STATE))
    other.keep(f"{'0' * 32}-{learnt.digest()}", learnt)
    before = set(bucket.tree())
    other.settle()
    (stray,) = set(bucket.tree()) - before
    Parts(place_of(STATE)).tidy(sn.load(STATE).sources_)
    assert stray in bucket.tree()
    sn.fit(f"{BUCKET}/in/f.arrows", state=STATE, update=True)
    assert stray not in bucket.tree()
    bucket.remove("in/e.arrow")
    assert len(forget(STATE, [f"{BUCKET}/in/e.arrow"])) == 1


def test_a_part_that_no_state_counts_is_kept_again(bucket):
    """Who was beaten and tries again does not rely on what it left: another one is tidying it away."""
    sn.fit(f"{BUCKET}/in/e.arrow", state=STATE, keep_parts=True)
    learnt = sn.TableNormalizer().fit(numbers(7)).learnt
    name = f"{'0' * 32}-{learnt.digest()}"
    beaten, first, again = (Parts(place_of(STATE)) for _ in range(3))
    beaten.keep(name, learnt)
    beaten.settle()
    first.settle()
    again.keep(name, learnt)
    again.settle()
    first.tidy(sn.load(STATE).sources_)
    assert Parts(place_of(STATE)).find(name) == learnt


def test_what_an_update_does_not_need_is_gone_when_it_ends(bucket):
    """The packs are those of the same updates on a disk, after each."""
    files = [f"{BUCKET}/in/{name}" for name in ("e.arrow", "f.arrows", "a%20b.parquet")]
    for count in range(1, 4):
        sn.fit(files[:count], state=STATE, keep_parts=True, update=count > 1)
        assert len([name for name in bucket.tree() if name.endswith(".parts")]) <= 2
    forget(STATE, files[:2])
    (pack,) = [name for name in bucket.tree() if name.endswith(".parts")]
    assert len(blocks_of(place_of(f"{BUCKET}/{pack}"))) == 1
    sn.fit(f"{BUCKET}/in/e.arrow", state=STATE, overwrite=True)
    assert [name for name in bucket.tree() if name.endswith(".parts")] == []


def test_who_is_beaten_while_tidying_removes_nothing(bucket):
    sn.fit(f"{BUCKET}/in/e.arrow", state=STATE, keep_parts=True)
    parts = Parts(place_of(STATE))
    parts.settle()
    before = bucket.tree()
    parts.tidy([], lambda: False)  # another one has replaced the state
    assert bucket.tree() == before
    parts.tidy([])
    assert bucket.tree().keys() == before.keys() - {name for name in before if name.endswith(".parts")}


def test_a_stream_is_followed(bucket):
    batch = pa.record_batch({"x": [1.0, 3.0]})
    for counted in (True, False):
        with sn.following(STATE) as state:
            assert state.add(batch, {"topic/0": (0, 2)}) is counted
            state.save()
            assert state.add(batch, {"topic/0": (2, 4)}) is counted
    assert sn.load(STATE) == sn.TableNormalizer().fit(pa.Table.from_batches([batch, batch]))


def test_of_two_that_follow_a_stream_the_second_to_save_is_told(bucket):
    batch = pa.record_batch({"x": [1.0, 3.0]})
    with sn.following(STATE) as state:
        state.add(batch, {"topic/0": (0, 2)})
    with pytest.raises(StateError, match="was written by another process meanwhile"), sn.following(STATE) as first:
        with sn.following(STATE) as second:
            second.add(batch, {"topic/1": (0, 2)})
        first.add(batch, {"topic/2": (0, 2)})
    with sn.following(STATE) as state:
        assert [state.position(f"topic/{part}") for part in range(3)] == [2, 2, 0]


def test_what_has_no_key_or_is_denied_is_one_line(bucket, monkeypatch):
    with pytest.raises(StateError, match=r"^there is no state s3://bucket/none.json"):
        sn.load(f"{BUCKET}/none.json")
    with pytest.raises(OutputError, match=r"^s3://nowhere/s.json cannot be written: there is no such bucket; make it"):
        sn.fit(f"{BUCKET}/in", state="s3://nowhere/s.json")
    with pytest.raises(SourceError, match=r"^there is no file s3://bucket/none.csv"):
        sn.fit(f"{BUCKET}/none.csv", state=STATE)


FOLDER = "cannot be written: it is a folder; name a file in it (s3://bucket/in/NAME)."
WHOLE = "s3://bucket cannot be written: it is a bucket; name a file in it (s3://bucket/NAME)."


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("fit s3://bucket/in/e.arrow --state s3://bucket/in", f"s3://bucket/in {FOLDER}"),
        ("fit s3://bucket/in/e.arrow --state s3://bucket/", WHOLE),
        ("fit s3://bucket/in --state s3://", "s3:// names no bucket: name one, and what is in it."),
        ("fit s3:// --state s3://bucket/s.json", "s3:// names no bucket: name one, and what is in it."),
        ("merge s3://bucket/m.json --output s3://bucket/in", f"s3://bucket/in {FOLDER}"),
        ("merge s3://bucket/m.json --output s3://bucket", WHOLE),
        ("report s3://bucket/m.json --output s3://bucket/in", f"s3://bucket/in {FOLDER}"),
        ("follow s3://bucket/in/day=1 --state s3://bucket/in --once", f"s3://bucket/in {FOLDER}"),
        (
            "run s3://bucket/in --output s3://bucket/r --state s3://bucket/r",
            "s3://bucket/r is the folder of an input or an output: choose another name for the state.",
        ),
        (
            "run s3://bucket/in --output s3://bucket/r --state s3://bucket/r/e.arrow",
            "s3://bucket/r/e.arrow is an input or an output: choose another name for the state.",
        ),
        (
            "fit s3://bucket/in --state s3://bucket/q.json?versionId=3",
            "s3://bucket/q.json cannot be used: Unexpected query parameter in S3 URI: 'versionId'; "
            "check the address and the credentials.",
        ),
    ],
)
def test_names_that_no_file_can_have_are_refused(bucket, capsys, words, message):
    """An object that is called as a folder is would hide what lies in it."""
    sn.fit(f"{BUCKET}/in/e.arrow", state=f"{BUCKET}/m.json")
    before = bucket.tree()
    ended = streamnorm(capsys, *words.split())
    assert (ended.code, ended.err.splitlines()[-1]) == (1, f"error: {message}")
    assert bucket.tree() == before


def test_names_may_be_written_as_they_are(bucket, tmp_path):
    bucket.put("in/ä ö.csv", b"x\n1\n2\n")
    written = sn.fit(f"{BUCKET}/in/ä ö.csv", state=f"{BUCKET}/é è.json")
    assert sn.load(f"{BUCKET}/%C3%A9%20%C3%A8.json") == written
    (source,) = written.sources_
    assert source.location == f"{BUCKET}/in/%C3%A4%20%C3%B6.csv"
    assert sn.fit(f"{BUCKET}/in/*ö.csv", state=f"{BUCKET}/é è.json", update=True).sources_ == (source,)
    sn.transform(written, f"{BUCKET}/in/ä ö.csv", f"{BUCKET}/ö/ü ß.csv")
    assert {"é è.json", "ö/ü ß.csv"} < bucket.tree().keys()


def test_here_and_there_may_be_mixed(bucket, tmp_path):
    (tmp_path / "here.csv").write_text("x\n1\n2\n")
    fitted = sn.fit([tmp_path / "here.csv", f"{BUCKET}/in/e.arrow"], state=f"file://{tmp_path}/s.json")
    assert sn.load(tmp_path / "s.json") == fitted
    sn.transform(tmp_path / "s.json", [tmp_path / "here.csv", f"{BUCKET}/in/e.arrow"], f"{BUCKET}/out")
    (tmp_path / "out").mkdir()
    written = sn.transform(tmp_path / "s.json", [tmp_path / "here.csv", f"{BUCKET}/in/e.arrow"], tmp_path / "out")
    assert [place.read_bytes() for place in written] == [bucket.tree()[f"out/{place.name}"] for place in written]


def test_secrets_are_not_told(bucket, capsys):
    address = bucket.endpoint.removeprefix("http://")
    uri = f"s3://someone:well-hidden@bucket/s.json?scheme=http&endpoint_override={address}&region=us-east-1"
    ended = streamnorm(capsys, "fit", f"{BUCKET}/in", "--state", uri)
    assert (ended.code, ended.err.partition(": ")[0].partition("?")[0]) == (0, "s3://bucket/s.json")
    ended = streamnorm(capsys, "fit", f"{BUCKET}/in", "--state", uri)
    assert (ended.code, ended.err.startswith("error: s3://bucket/s.json exists")) == (1, True)
    assert streamnorm(capsys, "report", uri, "--output", f"{BUCKET}/r.html").code == 0
    assert b"well-hidden" not in b"".join(bucket.tree().values())


def test_a_profile_is_enough(bucket, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "credentials").write_text("[night]\naws_access_key_id = key\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "night")
    fitted = sn.fit(f"{BUCKET}/in", state=STATE)
    assert sn.load(STATE) == fitted


def test_who_has_no_credentials_is_told(bucket, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
    monkeypatch.setenv("AWS_CONFIG_FILE", "none")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")  # a machine without a role
    monkeypatch.setattr(answers, "PAUSES", (0.01,))
    with pytest.raises(OutputError, match=r"s.json cannot be written: there are no credentials, .*; set them in"):
        sn.save(sn.StandardScaler().fit([[1.0], [2.0]]), f"{BUCKET}/s.json")


def test_a_large_state_is_one_request_too(bucket):
    """What is written in parts knows no condition."""
    rng = np.random.default_rng(0)
    table = pa.table({f"x{i}": rng.normal(size=60_000) for i in range(12)})
    scaler = sn.TableNormalizer(sn.RobustScaler(max_bins=1 << 16)).fit(table)
    with holding(STATE) as held:
        held.write(sn.states.state_of(scaler))
        held.write(sn.states.state_of(scaler))
    assert len(bucket.tree()["states/s.json"]) > 5 << 20
    assert sn.load(STATE) == scaler


def test_without_the_library_reading_works_and_writing_says_what_is_missing(bucket, monkeypatch):
    sn.fit(f"{BUCKET}/in", state=STATE)
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    assert len(sn.load(STATE).sources_) == 5
    with pytest.raises(OutputError, match=r"^stores cannot be written to without obstore: .*streamnorm\[stores\]"):
        sn.fit(f"{BUCKET}/in", state=f"{BUCKET}/t.json")


def test_the_record_names_no_settings(bucket):
    sn.fit(f"{BUCKET}/in/e.arrow", state=STATE)
    (source,) = json.loads(bucket.tree()["states/s.json"])["sources"]
    assert source["location"] == f"{BUCKET}/in/e.arrow"


@pytest.mark.parametrize("name", ["a b", "a%20b", "ä", "x=1&y", "50%", "a+b", "q?", "h#h"])
def test_a_name_is_one_however_it_is_found(bucket, name):
    """A file counted alone is not counted again with its folder, whatever stands for its name in a URI."""
    bucket.put(f"odd/{name}.csv", b"x\n1\n2\n")
    sn.fit(f"{BUCKET}/odd", state=STATE)
    (found,) = sn.load(STATE).sources_
    assert sn.fit(found.location, state=STATE, update=True).sources_ == (found,)
    written = sn.transform(STATE, found.location, f"{BUCKET}/out/")
    assert written == [found.location.replace("/odd/", "/out/")]
    assert f"out/{name}.csv" in bucket.tree()


def test_the_night_of_the_guide(bucket, capsys, tmp_path, monkeypatch):
    guide = Path(sn.__file__).parent / "docs" / "guide.md"
    section = guide.read_text(encoding="utf-8").split("## The nightly job in a container")[1].split("\n## ")[0]
    lines = re.search(r"```sh\n(.*?)```", section, re.DOTALL)[1].splitlines()
    pq.write_table(numbers(9), tmp_path / "new.parquet")
    bucket.put("in/2026-12-01/new.parquet", (tmp_path / "new.parquet").read_bytes())
    (tmp_path / "new.parquet").unlink()
    monkeypatch.chdir(tmp_path)
    assert [streamnorm(capsys, *line.split()[1:]).code for line in lines] == [0, 0]
    before = bucket.tree()
    assert [streamnorm(capsys, *line.split()[1:]).code for line in lines] == [0, 0]
    assert (bucket.tree(), list(tmp_path.iterdir())) == (before, [])
