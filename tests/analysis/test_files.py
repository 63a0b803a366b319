"""Records in files."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.analysis import history_frame, read_csv, read_parquet, write_csv, write_parquet
from headway.errors import UsageError
from headway.models import StageStatus, TaskStatus
from headway.records import Prediction, StageRecord, TaskHistory
from headway.timestamps import Timestamp
from tests.analysis.records import STAGES, record, told
from tests.analysis.synthetic import make_records
from tests.examples import examples

WAYS = {"parquet": (write_parquet, read_parquet), "csv": (write_csv, read_csv)}
Write = Callable[[object, Path], int]
Read = Callable[[Path], list[TaskHistory]]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
seconds = st.floats(min_value=0, max_value=1e9)
times = st.floats(min_value=0, max_value=4e9).map(Timestamp)
sizes = st.none() | st.integers(min_value=0, max_value=2**62)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | texts
values = st.dictionaries(
    texts,
    st.recursive(
        scalars | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
stage_records = st.builds(
    StageRecord, id=texts, duration_s=st.none() | seconds, status=st.sampled_from(StageStatus)
)
predictions = st.builds(
    Prediction,
    elapsed_s=seconds,
    low_s=seconds,
    median_s=seconds,
    high_s=seconds,
    basis=texts,
    stage=st.none() | texts,
    share=st.none() | st.floats(0, 1),
)
histories = st.builds(
    TaskHistory,
    task_id=texts,
    template_id=texts,
    category=st.none() | texts,
    params=values,
    attempt=st.integers(1, 2**31),
    status=st.sampled_from(TaskStatus),
    submitted_at=times,
    finished_at=times,
    stages=st.lists(stage_records, max_size=3).map(tuple),
    template_version=st.none() | texts,
    device=st.none() | texts,
    host=st.none() | texts,
    peak_rss_bytes=sizes,
    peak_gpu_memory_bytes=sizes,
    predictions=st.lists(predictions, max_size=3).map(tuple),
    evidence=st.none() | values,
)


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> tuple[Write, Read]:
    return WAYS[request.param]


@settings(max_examples=examples(60), deadline=None)
@given(records=st.lists(histories, max_size=4))
@pytest.mark.parametrize("name", list(WAYS))
def test_what_is_read_is_what_was_written(name: str, records: list[TaskHistory]) -> None:
    write, read = WAYS[name]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "records"
        assert write(records, path) == len(records)
        assert read(path) == records
        assert write((task.to_json() for task in records), path) == len(records)
        assert read(path) == records


def test_many_records_go_through_in_their_order(way: tuple[Write, Read], tmp_path: Path) -> None:
    write, read = way
    records = make_records(4_500)  # more than two chunks
    assert write(records, tmp_path / "records") == 4_500
    assert read(tmp_path / "records") == records


def test_texts_of_all_scripts_and_awkward_ones_come_back(way: tuple[Write, Read], tmp_path: Path) -> None:
    write, read = way
    for index, text in enumerate(
        ['"', "a,b", "a\r\nb\rc\n", "", "null", "NA", "😀 Ünïcödé 漢字 ‮", " ", "=1+1", "\x00"]
    ):
        task = record(
            "a-1",
            category=text,
            device=text,
            params={text: text},
            predictions=(told(1, 1, 1, 1, basis=text),),
        )
        write([task], tmp_path / str(index))
        assert read(tmp_path / str(index)) == [task]


def test_a_row_as_large_as_a_record_can_be_comes_back(way: tuple[Write, Read], tmp_path: Path) -> None:
    write, read = way
    task = record("a-1", params={"x": "y" * 16_000}, predictions=(told(1, 1, 1, 1, basis="z" * 500),) * 3_000)
    write([task] * 3, tmp_path / "records")
    assert read(tmp_path / "records") == [task] * 3


def test_a_parquet_file_has_columns_that_other_tools_read(tmp_path: Path) -> None:
    write_parquet([record("a-1", stages=STAGES, params={"steps": 30})], tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.schema.field("finished_at").type == pa.timestamp("us", tz="UTC")
    assert table.column("params").to_pylist() == ['{"steps":30}']
    assert table.column("category").null_count == 1


def test_a_csv_file_is_a_table_of_texts(tmp_path: Path) -> None:
    write_csv([record("a-1", params={"steps": 30})], tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["task_id"], row["params"], row["device"]) == ("a-1", '{"steps":30}', "")
    assert row["finished_at"] == "2027-01-15T08:01:40Z"


def test_columns_of_a_later_version_are_ignored(tmp_path: Path) -> None:
    write_parquet([record("a-1")], tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet").append_column("new", [["x"]])
    pq.write_table(table.select(table.column_names[::-1]), tmp_path / "b.parquet")
    assert read_parquet(tmp_path / "b.parquet") == [record("a-1")]
    write_csv([record("a-1")], tmp_path / "a.csv")
    head, row = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "b.csv").write_text(f'{head},"new"\n{row},"x"\n')
    assert read_csv(tmp_path / "b.csv") == [record("a-1")]


def test_files_of_something_else_are_refused(tmp_path: Path) -> None:
    frame = history_frame([record("a-1", params={"steps": 3})])
    frame.to_parquet(tmp_path / "frame.parquet")
    frame.to_csv(tmp_path / "frame.csv", index=False)
    for read, name in ((read_parquet, "frame.parquet"), (read_csv, "frame.csv")):
        with pytest.raises(UsageError, match="without the columns stages, predictions, evidence"):
            read(tmp_path / name)
    (tmp_path / "text").write_text("no,table\n1,2\n")
    with pytest.raises(UsageError, match="expected a Parquet file of Headway's records"):
        read_parquet(tmp_path / "text")
    with pytest.raises(UsageError, match="one without the columns task_id"):
        read_csv(tmp_path / "text")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(UsageError, match="expected a CSV file of Headway's records"):
        read_csv(tmp_path / "empty")


def test_a_file_that_is_not_there_is_not_found(way: tuple[Write, Read], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        way[1](tmp_path / "missing")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"completed"', '"done"', "'done' is not a valid TaskStatus"),
        ('"completed"', "", "expected a status in every row"),
        ('"{}"', '"[]"', "Expected `object`"),
        ('"2027-01-15T08:00:00Z"', '"today"', "today"),
        (",1,", ",one,", "one"),
    ],
)
def test_a_row_that_is_no_record_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_csv([record("a-1")], path)
    changed = path.read_text().replace(old, new)
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(UsageError, match=message):
        read_csv(path)


def test_a_parquet_column_of_another_type_is_refused(tmp_path: Path) -> None:
    write_parquet([record("a-1")], tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    place = table.column_names.index("attempt")
    pq.write_table(table.set_column(place, "attempt", [["one"]]), tmp_path / "b.parquet")
    with pytest.raises(UsageError, match="expected a Parquet file of Headway's records"):
        read_parquet(tmp_path / "b.parquet")


def test_what_is_no_record_is_not_written(way: tuple[Write, Read], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="position 1"):
        way[0]([record("a-1"), b"{}"], tmp_path / "records")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("records", [None, record("a-1"), "a.csv", b"{}", history_frame([record("a-1")])])
def test_what_is_no_list_of_records_is_not_written(
    way: tuple[Write, Read], records: object, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="expected a list of records"):
        way[0](records, tmp_path / "records")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_as_a_whole_or_not_at_all(way: tuple[Write, Read], tmp_path: Path) -> None:
    write, read = way
    path = tmp_path / "records"
    write([record("a-1")], path)
    with pytest.raises(UsageError, match="position 2500"):
        write([*(record(f"b-{index}") for index in range(2_500)), b"{}"], path)
    assert read(path) == [record("a-1")]
    link = tmp_path / "link"
    link.symlink_to(path)
    write([*read(path), record("b-1")], link)
    assert [known.task_id for known in read(path)] == ["a-1", "b-1"]
    assert link.is_symlink()
    assert {found.name for found in tmp_path.iterdir()} == {"records", "link"}


def test_records_can_be_written_to_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as executor:
        read = executor.submit(pipe.read_text)
        assert write_csv([record("a-1")], pipe) == 1
        assert read.result(timeout=10).count("a-1") == 1
