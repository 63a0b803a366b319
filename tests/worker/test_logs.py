"""What other code logs and prints becomes entries of a task's log, and nothing of it can break that code."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

from headway import diagnostics
from headway.checks import MAX_ERROR_CHARS
from headway.errors import UsageError
from headway.logs import LogEntry, LogLevel, decode_log_entry, level_of, parse_level
from headway.worker import outputs
from headway.worker.logs import LogHandler, with_trace
from headway.worker.outputs import OutputCapture
from headway.worker.task import Task
from headway.worker.terminal import MAX_BARS, MAX_LINES, Line, Terminal

INFO, WARNING, ERROR, DEBUG = LogLevel.INFO, LogLevel.WARNING, LogLevel.ERROR, LogLevel.DEBUG


class Notebook:
    """A task, as far as its log goes."""

    def __init__(self, task_id: str = "a") -> None:
        self.task_id = task_id
        self.lines: list[tuple[str, str]] = []
        self.metadata: list[dict[str, Any]] = []
        self.error: Exception | None = None

    def log(self, message: str, level: str = "info", **metadata: Any) -> None:
        if self.error is not None:
            raise self.error
        self.lines.append((str(level), message))
        self.metadata.append(metadata)

    @property
    def messages(self) -> list[str]:
        return [message for _, message in self.lines]


@pytest.fixture
def notebook() -> Any:
    return Notebook()


@pytest.fixture(autouse=True)
def unsaid() -> None:
    diagnostics._said.clear()


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.logs")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    logger.handlers.clear()


class TestLogHandler:
    def test_a_block_hears_what_its_logger_says(self, notebook: Any, logger: logging.Logger) -> None:
        with LogHandler(notebook, logger=logger.name) as handler:
            for level in ("debug", "info", "warning", "error", "critical"):
                getattr(logger, level)("%s %d", level, 5)
            logging.getLogger("tests.logs.below").info("from below")
            logging.getLogger("tests.other").warning("of others")
        logger.error("after")
        assert handler not in logger.handlers
        assert notebook.lines == [
            ("debug", "debug 5"),
            ("info", "info 5"),
            ("warning", "warning 5"),
            ("error", "error 5"),
            ("error", "critical 5"),
            ("info", "from below"),
        ]
        assert notebook.metadata[0] == {"logger": "tests.logs"}

    def test_it_hears_the_root_logger_where_none_is_named(self, notebook: Any) -> None:
        with LogHandler(notebook, level="warning"):
            logging.getLogger("some.library").warning("careful")
            logging.getLogger().warning("root")
            logging.getLogger("some.library").info("too low")
        assert notebook.messages == ["careful", "root"]

    def test_a_traceback_stands_below_the_message(self, notebook: Any, logger: logging.Logger) -> None:
        with LogHandler(notebook, logger=logger):
            try:
                raise ValueError("no such latent")
            except ValueError:
                logger.exception("step %d failed", 7)
            logger.info("no error here", exc_info=True)
            logger.info("where", stack_info=True)
        failed, plain, where = notebook.messages
        first, trace = failed.split("\n", 1)
        assert first == "step 7 failed"
        assert trace.startswith("Traceback (most recent call last):")
        assert trace.endswith("ValueError: no such latent")
        assert plain == "no error here"
        assert where.startswith("where\n")
        assert where.endswith('logger.info("where", stack_info=True)')

    def test_one_that_came_from_another_process_is_kept(self, notebook: Any, logger: logging.Logger) -> None:
        record = logger.makeRecord("x", logging.ERROR, __file__, 1, "failed", (), None)
        record.exc_text = "Traceback: elsewhere"
        LogHandler(notebook).handle(record)
        assert notebook.messages == ["failed\nTraceback: elsewhere"]

    @given(st.text(max_size=9_000), st.text(max_size=9_000))
    def test_of_too_long_a_traceback_the_end_is_kept(self, message: str, trace: str) -> None:
        text = with_trace(message, trace)
        assert len(text) <= MAX_ERROR_CHARS
        assert text.startswith(message[: MAX_ERROR_CHARS // 4])
        assert text.endswith(trace[-1_000:])

    def test_a_formatter_decides_where_there_is_one(self, notebook: Any, logger: logging.Logger) -> None:
        handler = LogHandler(notebook, logger=logger)
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        with handler:
            logger.info("hello")
        assert notebook.messages == ["INFO: hello"]

    def test_what_cannot_be_said_breaks_nothing_and_is_warned_about_once(
        self, notebook: Any, logger: logging.Logger, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Rude:
            def __str__(self) -> str:
                raise RuntimeError("no text")

        handler = LogHandler(notebook)
        for message, args in (("%s", (Rude(),)), ("%d", ("no number",)), ("fine", ())):
            if not args:
                notebook.error = OSError("full")
            handler.handle(logger.makeRecord(logger.name, 20, __file__, 1, message, args, None))
        (record,) = caplog.records
        assert "a record of logger tests.logs does not reach task a: RuntimeError" in record.getMessage()

    def test_what_headway_says_itself_is_left_out(self, notebook: Any) -> None:
        with LogHandler(notebook):
            diagnostics.warn_once("topic", "of ours")
            logging.getLogger("headway.server").warning("of ours")
            logging.getLogger("headwayx").warning("of another's")
            thread = threading.Thread(
                name="headway-reporter", target=lambda: logging.getLogger("asyncio").warning("slow")
            )
            thread.start()
            thread.join()
        assert notebook.messages == ["of another's"]

    def test_a_warning_of_ours_while_logging_does_not_go_in_circles(self, notebook: Any) -> None:
        notebook.log = lambda *_, **__: logging.getLogger("headway").warning("detached")
        with LogHandler(notebook):
            logging.getLogger("x").warning("hello")

    def test_threads_may_log_at_once(self, notebook: Any, logger: logging.Logger) -> None:
        with LogHandler(notebook, logger=logger), ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: logger.info("line %d", number), range(400)))
        assert sorted(notebook.messages) == sorted(f"line {number}" for number in range(400))

    def test_a_level_that_is_none_is_refused(self, notebook: Any) -> None:
        with pytest.raises(ValueError, match="LOUD"):
            LogHandler(notebook, level="loud")

    def test_every_level_has_one_of_ours(self) -> None:
        numbers = [(0, DEBUG), (10, DEBUG), (15, DEBUG), (20, INFO), (25, INFO), (35, WARNING), (99, ERROR)]
        assert [level_of(number) for number, _ in numbers] == [level for _, level in numbers]
        assert [parse_level(number) for number, _ in numbers] == [level for _, level in numbers]
        names = ("WARN", "critical", "Fatal", "NOTSET", "Info")
        assert [parse_level(name) for name in names] == [WARNING, ERROR, ERROR, DEBUG, INFO]
        for none in (True, "loud", None, 2.5):
            with pytest.raises(UsageError, match="expected a level of debug, info, warning, error"):
                parse_level(none)

    def test_it_reaches_the_log_of_a_real_task(
        self, new_task: Callable[..., Task], logger: logging.Logger
    ) -> None:
        task = new_task()
        with LogHandler(task, logger=logger):
            logger.warning("careful")
        assert [(one.level, one.message, one.metadata) for one in entries(task)] == [
            (WARNING, "careful", {"logger": "tests.logs"})
        ]
        task.complete()


def test_a_task_that_fails_logs_where(new_task: Callable[..., Task]) -> None:
    task = new_task()
    with pytest.raises(KeyError), task:
        {}["missing"]
    (entry,) = entries(task)
    assert entry.level is ERROR
    assert entry.message.startswith("KeyError: 'missing'\nTraceback (most recent call last):\n")
    assert '{}["missing"]' in entry.message
    for error in ("out of memory", ValueError("never raised")):
        task = new_task()
        task.fail(error)
        assert entries(task) == (), "nothing was raised"


def entries(task: Task) -> tuple[LogEntry, ...]:
    """Take what waits to be stored of a task, before its reporter does."""
    with task._run._lock:
        return tuple(decode_log_entry(entry.data) for entry in task._run.outbox.take()[1])


def written(*texts: str, seconds: float = 0.0) -> list[tuple[str, str]]:
    """What a terminal makes of some writes, so many seconds apart, until it is closed."""
    terminal = Terminal()
    found: list[Line] = []
    for number, text in enumerate(texts):
        found += terminal.write(text, 100.0 + number * seconds)
    found += terminal.close()
    return [(str(line.level), line.text) for line in found]


class TestTerminal:
    @pytest.mark.parametrize(
        ("texts", "lines"),
        [
            (["one\n", "two\n"], ["one", "two"]),
            (["one\ntwo\n\n  three  \n"], ["one", "two", "  three"]),
            (["o", "n", "e", "\n", "tw", "o"], ["one", "two"]),
            (["\n", "  \n", ""], []),
            (["dos\r\nlines\r\n"], ["dos", "lines"]),
            (["\x1b[31mred\x1b[0m and \x1b]8;;http://x\x07link\x1b]8;;\x07\n"], ["red and link"]),
        ],
    )
    def test_lines_are_lines_however_they_are_written(self, texts: list[str], lines: list[str]) -> None:
        assert written(*texts) == [("info", line) for line in lines]

    @given(st.lists(st.text("ab \n", max_size=8), max_size=30))
    def test_no_line_is_lost_wherever_the_writes_are_cut(self, texts: list[str]) -> None:
        expected = [line.rstrip() for line in "".join(texts).split("\n") if line.strip()]
        assert [text for _, text in written(*texts)] == expected

    @given(st.lists(st.text(max_size=12), max_size=20))
    def test_nothing_that_is_written_raises(self, texts: list[str]) -> None:
        assert all(len(text) <= MAX_ERROR_CHARS + 1 for _, text in written(*texts, seconds=0.3))

    def test_of_a_bar_that_goes_on_one_state_a_second_is_kept_and_the_last_always(self) -> None:
        bar = [f"\rsteps: {percent:3d}%|##|" for percent in range(0, 101, 2)]
        found = written(*bar, "\n", "done\n", seconds=0.1)
        shown = [text for level, text in found if level == "debug"]
        assert shown == [f"steps: {percent:3d}%|##|" for percent in range(0, 101, 20)]
        assert found[-1] == ("info", "done")
        assert [text for _, text in found].count("steps: 100%|##|") == 1
        late = written(*bar[:-1], "\rsteps: 100%|##|\n", seconds=0.01)
        assert late == [("debug", "steps:   0%|##|"), ("info", "steps: 100%|##|")]

    def test_a_bar_that_wipes_itself_leaves_its_last_state(self) -> None:
        found = written("\r 10%|#|", "\r 90%|##|", "\r" + " " * 20 + "\r", "next\n")
        assert found == [("debug", " 10%|#|"), ("info", "next"), ("info", " 90%|##|")]

    def test_one_that_returns_at_its_end_rather_than_at_its_start_is_one_too(self) -> None:
        found = written("10 %\r", "50 %\r", "90 %\r", "\n", "next\n")
        assert found == [("debug", "10 %"), ("info", "90 %"), ("info", "next")]

    def test_bars_below_each_other_are_told_apart(self) -> None:
        found = []
        writes = ["\router:   0%|  |"]
        for outer in range(3):
            for inner in range(0, 101, 10):
                writes += ["\n", f"\rinner: {inner:3d}%|##|", "\x1b[A"]
            writes += [f"\router:  {33 * (outer + 1)}%|##|"]
        found = written(*writes, "\n", seconds=0.05)
        texts = [text for _, text in found]
        assert len(texts) <= 18, "at most one a second of each, in five seconds"
        assert "inner: 100%|##|" in texts
        assert "outer:  99%|##|" in texts[-2:]

    def test_so_many_bars_are_told_apart_and_no_more(self) -> None:
        terminal = Terminal()
        for number in range(3 * MAX_BARS):
            list(terminal.write(f"\r{'x' * (number + 1)}: 5%", float(number)))
        assert len(terminal._bars) == MAX_BARS

    def test_tqdm_itself_is_folded(self) -> None:
        stream = io.StringIO()
        for _ in tqdm(range(50), file=stream, desc="steps", mininterval=0):
            pass
        texts = [text for _, text in written(stream.getvalue())]
        assert len(texts) == 1
        assert texts[0].startswith("steps: 100%|")

    def test_a_traceback_is_one_entry(self) -> None:
        trace = (
            "Traceback (most recent call last):\n"
            '  File "x.py", line 1, in <module>\n    f()\nKeyError: 5\n\n'
            "During handling of the above exception, another exception occurred:\n\n"
            'Traceback (most recent call last):\n  File "y.py", line 2\n\n    g()\nValueError: no\n'
        )
        found = written("before\n", trace, "after\n")
        assert found == [("info", "before"), ("error", trace.rstrip()), ("info", "after")]
        assert written(*trace) == [("error", trace.rstrip())]
        endless = written("Traceback (most recent call last):\n", *["  File\n"] * 1_000)
        assert len(endless) > 1
        assert max(len(text) for _, text in endless) <= MAX_ERROR_CHARS

    def test_a_warning_of_python_is_a_warning(self) -> None:
        found = written("x.py:3: UserWarning: careful\n", "Warning: mine\n", "no FutureWarning here\n")
        assert found == [
            ("warning", "x.py:3: UserWarning: careful"),
            ("info", "Warning: mine"),
            ("info", "no FutureWarning here"),
        ]

    def test_too_much_at_once_is_cut_to_its_end(self) -> None:
        found = written("".join(f"{number}\n" for number in range(50_000)))
        assert found[0] == ("warning", "… 49,000 lines were left out")
        assert [text for _, text in found[1:]] == [str(number) for number in range(49_000, 50_000)]
        assert len(found) == MAX_LINES + 1

    def test_a_line_without_an_end_is_bounded(self) -> None:
        terminal = Terminal()
        for _ in range(100):
            list(terminal.write("x" * 1_000, 1.0))
        assert len(terminal._open) <= MAX_ERROR_CHARS + 1_000


class TestOutputCapture:
    def test_what_a_block_prints_is_logged_and_still_printed(
        self, notebook: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = vars(sys.stdout).get("write")
        with OutputCapture(notebook):
            print("one", 2)
            print("three", file=sys.stderr)
            sys.stdout.writelines(["four\n", "five\n"])
            print("no end", end="")
        print("after")
        assert vars(sys.stdout).get("write") is before, "as it was"
        assert capsys.readouterr() == ("one 2\nfour\nfive\nno endafter\n", "three\n")
        assert notebook.lines == [
            ("info", "one 2"),
            ("info", "three"),
            ("info", "four"),
            ("info", "five"),
            ("info", "no end"),
        ]
        assert [metadata["stream"] for metadata in notebook.metadata[:3]] == ["stdout", "stderr", "stdout"]

    def test_whoever_holds_the_stream_already_is_heard(self, notebook: Any) -> None:
        handler = logging.StreamHandler(sys.stderr)
        with OutputCapture(notebook):
            handler.handle(logging.makeLogRecord({"msg": "from a handler"}))
            sys.stderr.write("x.py:3: UserWarning: careful\n")
        assert notebook.lines[0] == ("info", "from a handler")
        assert notebook.lines[1][0] == "warning"

    def test_captures_end_in_any_order(self, capsys: pytest.CaptureFixture[str]) -> None:
        first, second = Notebook("first"), Notebook("second")
        outer, inner = OutputCapture(first), OutputCapture(second)  # type: ignore[arg-type]
        outer.__enter__()
        print("1")
        inner.__enter__()
        print("2")
        outer.__exit__(None, None, None)
        print("3")
        inner.__exit__(None, None, None)
        print("4")
        assert (first.messages, second.messages) == (["1", "2"], ["2", "3"])
        assert capsys.readouterr().out == "1\n2\n3\n4\n"
        assert not outputs._taps

    def test_one_may_be_used_again(self, notebook: Any) -> None:
        capture = OutputCapture(notebook)
        for number in range(2):
            with capture:
                print(number)
        assert notebook.messages == ["0", "1"]

    def test_threads_hear_their_own_only(self, capsys: pytest.CaptureFixture[str]) -> None:
        books = [Notebook(str(number)) for number in range(4)]
        barrier = threading.Barrier(4)

        def work(book: Any) -> None:
            with OutputCapture(book):
                barrier.wait(5)
                for number in range(50):
                    print(f"{book.task_id}-{number}\n", end="")
                barrier.wait(5)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, books))
        for book in books:
            assert book.messages == [f"{book.task_id}-{number}" for number in range(50)]
        assert len(capsys.readouterr().out.splitlines()) == 200

    async def test_so_do_the_tasks_of_an_event_loop(self) -> None:
        books = [Notebook(str(number)) for number in range(3)]

        async def work(book: Any) -> None:
            with OutputCapture(book):
                for number in range(5):
                    print(book.task_id, number)
                    await asyncio.sleep(0)
                await asyncio.to_thread(print, book.task_id, "below")

        await asyncio.gather(*(work(book) for book in books))
        for book in books:
            expected = [f"{book.task_id} {number}" for number in range(5)]
            assert book.messages == [*expected, f"{book.task_id} below"]

    def test_a_context_that_outlives_the_block_is_heard_no_more(self, notebook: Any) -> None:
        with OutputCapture(notebook):
            context = contextvars.copy_context()
            other = OutputCapture(Notebook())  # type: ignore[arg-type]
            other.__enter__()  # keeps the stream wrapped
        context.run(print, "late")
        other.__exit__(None, None, None)
        assert notebook.messages == []

    def test_a_stream_that_was_wrapped_again_meanwhile_is_left_as_it_is(self, notebook: Any) -> None:
        stream = io.StringIO()
        with contextlib.redirect_stdout(stream):
            with OutputCapture(notebook):
                write = stream.write

                def another(text: str) -> int:
                    return write(text.upper())

                vars(stream)["write"] = another
                print("one")
            print("two")
        assert stream.getvalue() == "ONE\nTWO\n"
        assert notebook.messages == ["ONE"]

    def test_a_wrapper_that_was_there_before_is_there_after(self, notebook: Any) -> None:
        stream = io.StringIO()
        write = stream.write
        vars(stream)["write"] = write
        with contextlib.redirect_stdout(stream), OutputCapture(notebook):
            print("one")
        assert vars(stream)["write"] is write

    def test_without_a_stream_there_is_nothing_to_hear(
        self, notebook: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(sys, "stdout", None)
        with OutputCapture(notebook):
            sys.stderr.write("still heard\n")
        assert notebook.messages == ["still heard"]
        assert "what is written to stdout cannot be logged" in caplog.text

    def test_a_log_that_fails_breaks_nothing(
        self, notebook: Any, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        notebook.error = OSError("full")
        with OutputCapture(notebook):
            for _ in range(3):
                print("on")
        assert capsys.readouterr().out == "on\non\non\n"
        assert len(caplog.records) == 1

    def test_what_the_log_itself_prints_does_not_go_in_circles(self, notebook: Any) -> None:
        def log(message: str, *_: object, **__: object) -> None:
            notebook.lines.append(("info", message))
            print("logged", message)

        notebook.log = log
        with OutputCapture(notebook):
            print("once")
        assert notebook.messages == ["once"]

    def test_many_small_parts_are_put_together(self, notebook: Any) -> None:
        with OutputCapture(notebook):
            for _ in range(3_000):
                print("x", end="")
            print()
            for _ in range(9_000):
                print("y", end="")
        assert notebook.messages[0] == "x" * 3_000
        assert "".join(notebook.messages[1:]) == "y" * 9_000

    def test_the_clock_of_bars_is_the_captures(self, notebook: Any) -> None:
        now = [0.0]
        with OutputCapture(notebook, clock=lambda: now[0]):
            for number in range(30):
                now[0] += 0.1
                sys.stderr.write(f"\rsteps {number}")
        assert len(notebook.messages) == 4, "three seconds, and the last state"
        assert notebook.messages[-1] == "steps 29"

    def test_it_works_on_the_streams_of_a_kernel(self, notebook: Any) -> None:
        from ipykernel.iostream import OutStream

        sent: list[str] = []

        class Kernel(OutStream):
            def __init__(self) -> None:
                self.echo = None

            def write(self, string: str) -> int:
                sent.append(string)
                return len(string)

            def flush(self) -> None:
                pass

            def close(self) -> None:
                pass

            def __del__(self) -> None:
                pass

        stream = Kernel()
        with contextlib.redirect_stdout(stream), OutputCapture(notebook):  # type: ignore[type-var]
            print("in a cell")
        assert "".join(sent) == "in a cell\n"
        assert notebook.messages == ["in a cell"]
        assert "write" not in vars(stream)

    def test_it_reaches_the_log_of_a_real_task(self, new_task: Callable[..., Task]) -> None:
        task = new_task()
        with OutputCapture(task):
            print("hello")
        assert [(one.level, one.message, one.metadata) for one in entries(task)] == [
            (INFO, "hello", {"stream": "stdout"})
        ]
        task.complete()
