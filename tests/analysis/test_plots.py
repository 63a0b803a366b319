"""The plots: what they say, what they draw, and that they leave everything else alone."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

from headway.analysis import (
    accuracy_frame,
    plot_calibration,
    plot_durations,
    plot_error_by_progress,
    plot_predicted_actual,
    stages_frame,
)
from headway.analysis.drawing import time_text
from headway.analysis.requirements import require
from headway.errors import UsageError
from headway.models import StageStatus
from headway.records import StageRecord
from tests.analysis.records import STAGES, record, told
from tests.analysis.synthetic import make_records

RECORDS = make_records(200)
ACCURACY = accuracy_frame(RECORDS)
STAGES_FRAME = stages_frame(RECORDS)
PLOTS: dict[str, Callable[..., mpl.axes.Axes]] = {
    "predicted_actual": lambda **options: plot_predicted_actual(ACCURACY, **options),
    "error_by_progress": lambda **options: plot_error_by_progress(ACCURACY, **options),
    "calibration": lambda **options: plot_calibration(ACCURACY, **options),
    "durations": lambda **options: plot_durations(STAGES_FRAME, **options),
    "stages": lambda **options: plot_durations(STAGES_FRAME, template_id="clip", **options),
}


@pytest.fixture(autouse=True)
def pyplot() -> Iterator[None]:
    """Draw without a screen, and close what was drawn."""
    mpl.use("agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def title(ax: mpl.axes.Axes) -> str:
    return str(ax.get_title(loc="left"))


@pytest.mark.parametrize("name", list(PLOTS))
def test_a_plot_draws_on_the_axes_that_it_is_given_and_changes_nothing_global(name: str) -> None:
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2)
    before = dict(mpl.rcParams)
    assert PLOTS[name](ax=left) is left
    figure.canvas.draw()
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == [figure.number]
    assert left.get_xlabel()
    assert left.get_ylabel()
    assert title(left)
    assert not right.get_title(loc="left")


@pytest.mark.parametrize("name", list(PLOTS))
@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_texts_and_lines_take_the_colour_of_the_notebooks_text(name: str, style: str) -> None:
    import matplotlib.pyplot as plt

    with plt.style.context(style):
        ax = PLOTS[name]()
        ax.figure.canvas.draw()
        colour = "black" if style == "default" else "white"
        assert mpl.colors.same_color(ax.title.get_color(), colour)
        grid = ax.yaxis.get_gridlines()[0]
        assert mpl.colors.same_color(mpl.colors.to_rgb(grid.get_color()), colour)


def test_predicted_and_actual_say_how_many_were_within_20_percent() -> None:
    tasks = [
        record("a-1", total_s=100.0, predictions=(told(0.0, 90.0, 110.0, 120.0, share=0.0),)),
        record("b-1", total_s=100.0, predictions=(told(0.0, 110.0, 150.0, 190.0, share=0.0),)),
    ]
    ax = plot_predicted_actual(accuracy_frame(tasks))
    assert title(ax) == "50 % of 2 predictions within 20 %"
    assert any("2 tasks, 95 % interval 9–91 %; lines: 80 % ranges" in text.get_text() for text in ax.texts)
    assert [label.get_text() for label in ax.get_legend().get_texts()] == ["±20 %", "outside", "within 20 %"]
    points = [
        tuple(float(x) for x in pair)
        for dots in ax.collections
        for pair in dots.get_offsets()
        if len(dots.get_offsets()) == 1
    ]
    assert (100.0, 110.0) in points
    assert (100.0, 150.0) in points


def test_predicted_and_actual_draw_a_sample_and_count_all() -> None:
    ax = plot_predicted_actual(ACCURACY, max_points=50)
    assert f"of {len(ACCURACY):,} predictions" in title(ax)
    assert any("; 50 drawn" in text.get_text() for text in ax.texts)


def test_predicted_and_actual_can_be_of_one_share() -> None:
    ax = plot_predicted_actual(ACCURACY, share=0.5)
    assert f"of {(ACCURACY['share'] == 0.5).sum()} predictions" in title(ax)
    assert any("tasks halfway, 95 %" in text.get_text() for text in ax.texts)
    ax = plot_predicted_actual(ACCURACY, share=0.25)
    assert any("tasks at 25 % of the way, 95 %" in text.get_text() for text in ax.texts)


def test_errors_say_where_they_begin_and_where_they_get_to() -> None:
    def task(name: str, begin: float, half: float) -> object:
        return record(
            name,
            predictions=(
                told(0.0, 1.0, begin, 300.0, share=0.0),
                told(50.0, 1.0, half, 300.0, share=0.5),
                told(90.0, 1.0, 10.0, 300.0, share=0.9),
            ),
        )

    frame = accuracy_frame([task("a-1", 150.0, 50.0), task("b-1", 110.0, 60.0)])  # type: ignore[list-item]
    ax = plot_error_by_progress(frame)
    assert title(ax) == "50 % within 20 % at the start, 100 % halfway"
    assert [text.get_text() for text in ax.texts if text.get_fontweight() == "bold"] == [
        "50 %",
        "100 %",
        "100 %",
    ]
    line = next(line for line in ax.lines if len(line.get_xdata()) == 3)
    assert list(line.get_xdata()) == [0.0, 50.0, 90.0]
    assert list(line.get_ydata()) == pytest.approx([30.0, 5.0, 0.0])
    assert (
        title(plot_error_by_progress(frame[frame["share"] == 0.9])) == "100 % within 20 % at 90 % of the way"
    )


def test_calibration_says_how_often_the_ranges_held() -> None:
    ax = plot_calibration(ACCURACY)
    assert title(ax) == f"80 % ranges held {100 * ACCURACY['is_covered'].mean():.0f} % of the time"


def test_durations_of_one_template_are_its_stages() -> None:
    stages = (StageRecord(id="load", duration_s=10.0), StageRecord(id="generation", duration_s=30.0))
    failed = record("bad", stages=STAGES)
    tasks = [record(f"t-{index}", at=100.0 * index, stages=stages) for index in range(20)]
    ax = plot_durations(stages_frame([*tasks, failed]))
    assert title(ax) == "generation is 75 % of portrait's time"
    assert any("20 tasks, 40 s at the median" in text.get_text() for text in ax.texts)
    assert {"load", "generation"} <= {text.get_text() for text in ax.texts}
    assert ax.get_ylabel() == "Duration (s)"


def test_durations_are_those_of_each_attempt_that_ended_well() -> None:
    stages = (StageRecord(id="generation", duration_s=30.0),)
    attempts = [record("same", attempt=1 + index, at=100.0 * index, stages=stages) for index in range(3)]
    failed = record("same", attempt=4, at=300.0, stages=STAGES)
    ax = plot_durations(stages_frame([*attempts, failed]))
    assert any("3 tasks, 30 s at the median" in text.get_text() for text in ax.texts)


def test_names_of_any_characters_are_drawn_as_they_are_and_long_ones_shortened() -> None:
    tasks = [
        record(
            f"t-{index}",
            at=100.0 * index,
            template_id=f"{'a-workflow-of-many-words-' * 3}$x_{index % 2} \\frac$",
            stages=(StageRecord(id="$\\sum$", duration_s=30.0),),
        )
        for index in range(6)
    ]
    frame = stages_frame(tasks)
    for ax in (plot_durations(frame), plot_durations(frame, template_id=tasks[0].template_id)):
        ax.figure.canvas.draw()
        assert "a-workflow-…-$x_0 \\frac$" in title(ax)
        assert len(title(ax)) < 80
        assert not any(text.get_parse_math() for text in ax.texts if "$" in text.get_text())


def test_of_many_tasks_a_sample_is_drawn_and_all_are_counted() -> None:
    count = 5_000
    stages = (StageRecord(id="load", duration_s=10.0), StageRecord(id="generation", duration_s=30.0))
    tasks = [
        record(f"t-{index}", at=100.0 * index, template_id=f"kind-{index % 2}", stages=stages)
        for index in range(count)
    ]
    frame = stages_frame(tasks)
    for ax, of in ((plot_durations(frame), count), (plot_durations(frame, template_id="kind-0"), count // 2)):
        said = next(text.get_text() for text in ax.texts if "running medians" in text.get_text())
        dots = sum(len(part.get_offsets()) for part in ax.collections if isinstance(part, PathCollection))
        assert dots <= 2_000
        assert f"{of:,} tasks" in said
        assert f"{dots:,} drawn" in said


def test_durations_of_a_frame_that_pandas_wrote_to_csv_are_the_same() -> None:
    read = pd.read_csv(io.StringIO(STAGES_FRAME.to_csv(index=False)))
    abroad = STAGES_FRAME.assign(finished_at=STAGES_FRAME["finished_at"].dt.tz_convert("Asia/Tokyo"))
    expected = plot_durations(STAGES_FRAME)
    for ax in (plot_durations(read), plot_durations(abroad)):
        assert title(ax) == title(expected)
        assert [list(line.get_xdata()) for line in ax.lines] == [
            list(line.get_xdata()) for line in expected.lines
        ]


def test_durations_of_several_templates_are_lines() -> None:
    tasks = [
        record(
            f"t-{index}",
            at=10.0 * index,
            template_id=f"kind-{index % 12:02}",
            stages=(StageRecord(id="a", duration_s=60.0 * (1 + index % 12)),),
        )
        for index in range(240)
    ]
    ax = plot_durations(stages_frame(tasks))
    (said,) = [text.get_text() for text in ax.texts if "4 rarer templates left out" in text.get_text()]
    assert said.startswith("160 tasks"), "those of the templates that are drawn"
    assert len(ax.lines) == 8


def test_names_at_the_ends_of_lines_do_not_touch() -> None:
    tasks = [
        record(
            f"{name}-{index}",
            at=100.0 * index,
            template_id=name,
            stages=(StageRecord(id="a", duration_s=60.0),),
        )
        for index in range(5)
        for name in ("a", "b", "c")
    ]
    ax = plot_durations(stages_frame(tasks))
    heights = sorted(text.xy[1] for text in ax.texts if text.get_text() in "abc")
    assert np.diff(heights).min() >= 0.05


@pytest.mark.parametrize("name", ["predicted_actual", "error_by_progress", "calibration"])
@pytest.mark.parametrize("total_s", [0.004, 3.0, 9e6])
def test_a_single_prediction_can_be_drawn(name: str, total_s: float) -> None:
    left = told(0.0, 0.9 * total_s, total_s, 1.1 * total_s, share=0.0)
    frame = accuracy_frame([record("a-1", total_s=total_s, predictions=(left,))])
    plot = {"predicted_actual": plot_predicted_actual, "error_by_progress": plot_error_by_progress}
    ax = plot.get(name, plot_calibration)(frame)
    ax.figure.canvas.draw()
    assert "100 %" in title(ax)


def test_predictions_far_off_are_drawn_at_the_edge() -> None:
    frame = accuracy_frame([record("a-1", total_s=1.0, predictions=(told(0.0, 0.0, 1e9, 1e12, share=0.0),))])
    ax = plot_error_by_progress(frame)
    assert ax.get_ylim()[1] < 250


def test_a_single_task_can_be_drawn() -> None:
    stages = (StageRecord(id="a", duration_s=4.0), StageRecord(id="b", status=StageStatus.SKIPPED))
    ax = plot_durations(stages_frame([record("a-1", stages=stages)]))
    ax.figure.canvas.draw()
    assert title(ax) == "a is 100 % of portrait's time"
    (area,) = [part for part in ax.collections if not isinstance(part, PathCollection)]
    assert area.get_window_extent().width > 50, "it can be seen"


def test_a_single_task_of_each_of_several_templates_can_be_seen() -> None:
    stages = (StageRecord(id="a", duration_s=4.0),)
    ax = plot_durations(stages_frame([record(name, template_id=name, stages=stages) for name in "ab"]))
    assert [line.get_marker() for line in ax.lines] == ["o", "o"]


def test_the_figure_of_ranges_that_always_held_does_not_stand_in_the_title() -> None:
    frame = accuracy_frame([record("a-1", predictions=(told(0.0, 50.0, 100.0, 150.0, share=0.0),))])
    ax = plot_calibration(frame)
    ax.figure.canvas.draw()
    (figure,) = [text for text in ax.texts if text.get_text() == "100 %"]
    assert figure.get_window_extent().y1 < ax.get_window_extent().y1


@pytest.mark.parametrize(
    ("plot", "frame", "message"),
    [
        (plot_predicted_actual, accuracy_frame([]), "expected predictions to plot"),
        (plot_calibration, accuracy_frame([]), "expected predictions to plot"),
        (plot_error_by_progress, accuracy_frame([]), "kept for a share"),
        (plot_durations, stages_frame([]), "expected stages to plot"),
        (plot_durations, stages_frame([record("a-1", stages=STAGES)]), "tasks that ended well"),
        (
            plot_durations,
            stages_frame([record("a-1", total_s=0.0, stages=(StageRecord(id="a", duration_s=0.0),))]),
            "took some time",
        ),
    ],
)
def test_nothing_is_not_plotted(
    plot: Callable[[pd.DataFrame], object], frame: pd.DataFrame, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        plot(frame)


@pytest.mark.parametrize("plot", [plot_predicted_actual, plot_error_by_progress, plot_calibration])
def test_what_is_no_frame_of_predictions_is_refused(plot: Callable[[object], object]) -> None:
    for given in (STAGES_FRAME, RECORDS, None):
        with pytest.raises(UsageError, match="expected what accuracy_frame gives"):
            plot(given)


def test_what_is_no_frame_of_stages_is_refused() -> None:
    for given in (ACCURACY, RECORDS, None):
        with pytest.raises(UsageError, match="expected what stages_frame gives"):
            plot_durations(given)  # type: ignore[arg-type]


@pytest.mark.parametrize("template_id", ["clips", ["clip"], 3])
def test_a_template_that_is_not_there_is_refused_with_those_that_are(template_id: object) -> None:
    with pytest.raises(UsageError, match=r"template of the frame, such as .*portrait.*; got"):
        plot_durations(STAGES_FRAME, template_id=template_id)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.3, 25, "0.25"])
def test_a_share_at_which_nothing_is_kept_is_refused(share: object) -> None:
    with pytest.raises(UsageError, match=r"expected share= as one of 0.0, 0.1, 0.25"):
        plot_predicted_actual(ACCURACY, share=share)  # type: ignore[arg-type]


@pytest.mark.parametrize("max_points", [0, -1])
def test_a_sample_without_points_is_refused(max_points: int) -> None:
    with pytest.raises(UsageError, match="expected max_points= of 1 or more"):
        plot_predicted_actual(ACCURACY, max_points=max_points)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.004, "4 ms"), (0.5, "0.5 s"), (42.0, "42 s"), (60.0, "1 min"), (186.0, "3.1 min"), (7_200.0, "2 h")],
)
def test_times_are_said_in_the_unit_that_people_use(seconds: float, expected: str) -> None:
    assert time_text(seconds) == expected


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("matplotlib", "analysis.plot_calibration(analysis.accuracy_frame([RECORD]))"),
        ("pyarrow", "analysis.write_parquet([RECORD], 'x')"),
    ],
)
def test_a_missing_library_is_named_with_what_installs_it(module: str, code: str) -> None:
    told_ = record("a-1", predictions=(told(0.0, 1.0, 2.0, 3.0, share=0.0),)).to_json()
    begin = f"import sys\nfrom headway import analysis\nsys.modules[{module!r}] = None"
    program = f"{begin}\nRECORD = {told_!r}\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert f"headway.analysis needs {module}" in done.stderr
    assert "pip install 'headway[analysis]'" in done.stderr


def test_a_library_that_is_broken_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "absent_library", None)
    with pytest.raises(ImportError, match=r"needs absent_library, .* pip install 'headway\[analysis\]'"):
        require("absent_library.part")
    with pytest.raises(ModuleNotFoundError, match=r"json\.absent"):
        require("json.absent")


def test_pandas_is_named_when_it_is_missing() -> None:
    program = "import sys\nsys.modules['pandas'] = None\nimport headway.analysis"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "headway.analysis needs pandas, which is not installed; run: pip install" in done.stderr


def test_the_frames_do_not_load_matplotlib() -> None:
    frames = "import sys, headway.analysis as a; a.summarize(a.accuracy_frame([]))"
    program = f"{frames}; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
