"""Pictures of the view in JupyterLab, light and dark, narrow and wide, and what can be measured of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import Lab, NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

STATES = """\
import numpy as np, headway, time
yy, xx = np.mgrid[0:384, 0:384] / 384
rings = 0.5 + 0.5 * np.sin(40 * np.hypot(xx - 0.4, yy - 0.55))
picture = (255 * np.stack([rings, rings ** 2, 1 - 0.6 * rings], axis=-1)).astype("uint8")

running = headway.task("sdxl-base-1.0", category="image_generation", name="Harbour at dawn", show=False)
with running.stage("model_loading", message="unet, vae, two text encoders"):
    time.sleep(0.4)
running.update(0.05, stage="generation", message="euler, cfg 6.5")
running.preview(picture)
time.sleep(1.2)
running.update(done=17, total=40, metadata={"sigma": 4.13})

with headway.task("fm-bells", category="audio_generation", name="Bells, 8 s", show=False) as finished:
    for _ in finished.track(range(24), stage="synthesis"):
        time.sleep(0.01)

try:
    with headway.task("wan-2.2", category="video_generation", name="Waves", show=False) as failed:
        for frame in failed.track(range(48), stage="frame_generation", message="frame by frame"):
            time.sleep(0.01)
            if frame == 20:
                raise RuntimeError("CUDA out of memory: tried to allocate 3.1 GiB, 1.2 GiB free of 23.7 GiB")
except RuntimeError:
    pass
queued = headway.task("musicgen", category="audio_generation", name="Strings", show=False)
headway.show(running, finished, failed, queued)
"""

MANY = """\
import headway
many = []
for number in range(1_000):
    task = headway.task("sweep", category="image_generation", name=f"seed {number}", show=False)
    if number % 3:
        task.update((number % 97) / 97)
    if number % 5 == 4:
        task.complete()
    if number % 50 == 7:
        task.fail("ValueError: bad seed")
    many.append(task)
headway.show(many)
"""

OVERFLOWS = """() => [...document.querySelectorAll('.hw-card, .hw-card *')]
    .filter(node => node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).overflowX === 'visible'
        && node.clientWidth > 0)
    .map(node => node.className)"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [600, 1200])
def test_cards_fit_their_cell(
    lab: Lab, open_notebook: Callable[..., NotebookPage], width: int, dark: bool
) -> None:
    name = f"states-{width}-{'dark' if dark else 'light'}"
    view = open_notebook(lab.write_notebook(f"{name}.ipynb", STATES), width=width, height=1500, dark=dark)
    view.run_cell()
    view.page.wait_for_function("() => document.querySelectorAll('.hw-card').length === 4", timeout=60_000)
    view.page.wait_for_selector(".hw-picture")
    view.page.wait_for_function(
        "() => [...document.querySelectorAll('.hw-card')].map(card => card.dataset.status).join() === "
        "'in_progress,completed,failed,queued'"
    )
    view.page.evaluate("document.querySelector('.hw-card').scrollIntoView()")
    assert view.page.evaluate(OVERFLOWS) == []
    widths = view.page.evaluate(
        "[...document.querySelectorAll('.hw-card')].map(card => card.getBoundingClientRect().width)"
    )
    assert max(widths) <= 880
    assert view.errors == []
    view.shot(name)


def test_a_thousand_tasks_are_rows_that_scroll(lab: Lab, open_notebook: Callable[..., NotebookPage]) -> None:
    view = open_notebook(lab.write_notebook("many.ipynb", MANY))
    view.run_cell()
    view.page.wait_for_function("() => document.querySelectorAll('.hw-row').length === 1000", timeout=60_000)
    view.page.wait_for_function("() => !document.body.innerText.includes('[*]')", timeout=60_000)
    assert view.errors == []
    view.page.evaluate("document.querySelector('.hw-row').scrollIntoView()")
    view.shot("many-1200-light")


def test_a_row_opens_the_card_of_its_task(lab: Lab, open_notebook: Callable[..., NotebookPage]) -> None:
    view = open_notebook(lab.write_notebook("rows.ipynb", MANY.replace("1_000", "60")), width=900)
    page = view.page
    view.run_cell()
    page.wait_for_function("() => document.querySelectorAll('.hw-row').length === 60", timeout=60_000)
    page.wait_for_function("() => !document.body.innerText.includes('[*]')", timeout=60_000)
    page.locator(".hw-rows").focus()
    for key in ["ArrowDown"] * 7 + ["Enter"]:
        page.keyboard.press(key)
    page.wait_for_selector(".hw-row-place[data-open] > .hw-slot > .hw-card[data-status=failed]")
    assert "ValueError: bad seed" in page.locator(".hw-card .hw-error").inner_text()
    assert page.evaluate("document.activeElement.textContent") == "seed 7"
    page.keyboard.press("Enter")
    page.wait_for_selector(".hw-card", state="detached")
    assert page.evaluate("document.activeElement.textContent") == "seed 7", "and no cell was left or entered"

    page.locator(".hw-row").nth(8).locator(".hw-row-percent").click()
    page.locator(".hw-card .hw-cancel-start").click()
    page.locator(".hw-card .hw-cancel-stop").click()
    page.wait_for_function(
        "() => document.querySelectorAll('.hw-row-left')[8].textContent === 'asked to stop'"
    )
    assert "Asked to stop" in page.locator(".hw-card .hw-cancel-words").inner_text()
    # The last rows as well: the list scrolls to the card that it makes room for.
    page.locator(".hw-row").nth(59).click()
    page.wait_for_function("() => document.querySelectorAll('.hw-card').length === 2")
    assert page.evaluate(
        "document.querySelectorAll('.hw-card')[1].getBoundingClientRect().bottom"
        " <= document.querySelector('.hw-rows').getBoundingClientRect().bottom + 1"
    )
    assert page.evaluate(OVERFLOWS) == []
    assert view.errors == []
    view.shot("rows-900-light")


LONG = """\
import headway
name = "A harbour at dawn, seen from the lighthouse, in the style of a woodcut"
tasks = [headway.task("woodcut-of-a-harbour", name=f"{name} {number}", show=False) for number in range(6)]
for task in tasks:
    task.update(0.4)
headway.show(tasks)
"""


def test_names_have_room_in_a_narrow_cell(lab: Lab, open_notebook: Callable[..., NotebookPage]) -> None:
    view = open_notebook(lab.write_notebook("long.ipynb", LONG), width=420)
    page = view.page
    view.run_cell()
    page.wait_for_function("() => document.querySelectorAll('.hw-row:not(.hw-waiting)').length === 6")
    row, name = page.locator(".hw-row").first, page.locator(".hw-row-open").first
    assert name.evaluate("name => name.offsetWidth") > 64
    row.click()
    title = page.locator(".hw-card .hw-title")
    lines = "title => title.offsetHeight / parseFloat(getComputedStyle(title.firstChild).lineHeight)"
    assert 1.5 < title.evaluate(lines) < 2.5
    assert page.evaluate(OVERFLOWS) == []
    assert view.errors == []
    view.shot("long-420-light")


UNKNOWN = """\
from IPython.display import display
ids = [f"not-begun-{number}" for number in range(6)]
display({"application/vnd.headway.tasks+json": {"task_ids": ids, "states": {}}}, raw=True)
"""
BEGUN = """\
import headway
task = headway.task("sweep", name="Begun at last", task_id="not-begun-0", show=False)
task.update(0.5)
"""


def test_a_row_that_waits_opens_and_becomes_its_task(
    lab: Lab, open_notebook: Callable[..., NotebookPage]
) -> None:
    view = open_notebook(lab.write_notebook("waits.ipynb", UNKNOWN, BEGUN), width=900)
    page = view.page
    view.run_cell()
    page.wait_for_function("() => document.querySelectorAll('.hw-row.hw-waiting').length === 6")
    page.locator(".hw-rows").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".hw-row-place[data-open] .hw-card.hw-waiting")
    page.locator(".hw-card .hw-waiting-words", has_text="The server does not know this task (yet)").wait_for()
    view.shot("waits-900-light")
    view.run_cell(1)
    page.wait_for_selector(".hw-row-place[data-open] .hw-card[data-status=in_progress]", timeout=20_000)
    assert page.locator(".hw-row.hw-waiting").count() == 5
    assert page.locator(".hw-row-open").first.inner_text() == "Begun at last"
    assert view.errors == []


LOGGED = """\
import headway
task = headway.task("sdxl", category="image_generation", name="Night train", task_id=TASK_ID, show=False)
for step in range(40):
    task.log(f"step {step} of 40", level="debug", sigma=0.5 * step)
task.log("NaN in 3 of 4,718,592 latents, set to 0", level="warning", step=39)
headway.show(task)
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_log_can_be_read_in_a_narrow_cell(
    lab: Lab, open_notebook: Callable[..., NotebookPage], dark: bool
) -> None:
    theme = "dark" if dark else "light"
    cell = LOGGED.replace("TASK_ID", f'"narrow-{theme}"')
    view = open_notebook(
        lab.write_notebook(f"narrow-{theme}.ipynb", cell), width=420, height=1_100, dark=dark
    )
    page = view.page
    view.run_cell()
    page.wait_for_selector(".hw-card .hw-foot:not([hidden])", timeout=60_000)
    page.get_by_role("button", name="Resources").click()
    page.get_by_role("button", name="Logs").click()
    page.wait_for_function("() => document.querySelectorAll('.hw-log-row').length > 10", timeout=20_000)
    page.locator(".hw-log-search").fill("step")
    page.locator(".hw-log-list mark").first.wait_for()
    middles = page.evaluate(
        "[...document.querySelectorAll('.hw-log-tools > :is(select, input, button)')]"
        ".map(tool => tool.getBoundingClientRect()).map(box => Math.round(box.top + box.height / 2))"
    )
    assert len(set(middles)) == 2
    letters = "first => first.offsetWidth / (0.6 * parseFloat(getComputedStyle(first).fontSize))"
    assert page.locator(".hw-log-row[data-level=warning] .hw-log-first").evaluate(letters) > 24
    row = page.locator(".hw-log-row", has_text="step 38 of 40")
    assert not row.locator(".hw-log-metadata").is_visible()
    row.get_by_role("button").click()
    assert row.locator(".hw-log-metadata").inner_text() == "sigma=19"
    assert page.evaluate(OVERFLOWS) == []
    assert view.errors == []
    view.shot(f"narrow-420-{theme}")


def test_the_bar_speaks(lab: Lab, open_notebook: Callable[..., NotebookPage]) -> None:
    view = open_notebook(
        lab.write_notebook(
            "speaks.ipynb",
            "import headway\ntask = headway.task('t', name='Cat')\ntask.update(0.5)\ntask",
        )
    )
    view.run_cell()
    bar = view.page.get_by_role("progressbar", name="Cat")
    bar.wait_for()
    view.page.wait_for_function(
        "() => document.querySelector('.hw-card [role=progressbar]')?.ariaValueNow === '55'"
        " || document.querySelector('.hw-card [role=progressbar]')?.getAttribute('aria-valuenow') > 40"
    )
    assert "Running" in (bar.get_attribute("aria-valuetext") or "")


SILENT = """\
import headway
with headway.task("sweep", category="image_generation", name="Ended", show=False) as ended:
    for _ in ended.track(range(3), stage="generation"):
        pass
running = headway.task("sweep", category="image_generation", name="Running", show=False)
running.update(0.05, stage="generation")
running.update(done=17, total=40)
headway.show(running, ended)
"""


@pytest.mark.parametrize("width", [420, 1200])
def test_figures_without_a_message_stand_at_the_left_before_and_after_the_end(
    lab: Lab, open_notebook: Callable[..., NotebookPage], width: int
) -> None:
    view = open_notebook(lab.write_notebook(f"silent-{width}.ipynb", SILENT), width=width)
    view.run_cell()
    view.page.wait_for_function("() => document.querySelectorAll('.hw-facts > .hw-fact').length >= 2")
    view.page.wait_for_selector(".hw-card[data-status='completed'] .hw-fact")
    lefts = view.page.evaluate(
        "[...document.querySelectorAll('.hw-facts')].map(facts => facts.getBoundingClientRect().left"
        " - facts.parentElement.getBoundingClientRect().left)"
    )
    assert lefts == [0, 0]


TEXT = """\
import headway, time
text = headway.task("llm", category="text_generation", name="Story", show=False)
story = "The keeper had not spoken aloud for eleven days when the light went out. " * 12
for part in range(1, 6):
    text.update(part / 6)
    text.preview(story[: 150 * part])
    time.sleep(0.5)
headway.show(text)
"""

# Whether one lies over the other: the strip over the text, a button over the dialog's.
OVERLAPS = """([one, other]) => {
    const [a, b] = [one, other].map(selector => document.querySelector(selector).getBoundingClientRect());
    return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}"""


def test_nothing_covers_the_words_of_a_text(lab: Lab, open_notebook: Callable[..., NotebookPage]) -> None:
    view = open_notebook(lab.write_notebook("text.ipynb", TEXT))
    page = view.page
    view.run_cell()
    page.wait_for_selector(".hw-preview-words")
    scrubber = page.locator(".hw-preview-scrubber")
    page.wait_for_function("() => !document.body.innerText.includes('[*]')", timeout=60_000)
    scrubber.hover(position={"x": 40, "y": 20})
    page.wait_for_selector(".hw-strip:visible")
    assert not page.evaluate(OVERLAPS, [".hw-strip", ".hw-preview-frame"])
    page.locator(".hw-strip").hover()
    view.shot("text-1200-light")
    scrubber.click(position={"x": 40, "y": 20})
    page.wait_for_selector("dialog .hw-preview-words")
    for button in (".hw-dialog-back", ".hw-dialog-on"):
        assert not page.evaluate(OVERLAPS, [button, "dialog .hw-preview-frame"])
    view.shot("text-1200-light-dialog")
    page.set_viewport_size({"width": 420, "height": 900})
    page.wait_for_function(
        "() => document.querySelector('dialog .hw-preview-frame').offsetWidth"
        " > 0.85 * document.querySelector('dialog').offsetWidth"
    )
    assert view.errors == []


SOUND = """\
import numpy as np, headway, time
at = np.arange(48_000) / 24_000
bell = 0.4 * np.exp(-2 * at) * np.sin(2 * np.pi * 440 * at)
with headway.task("bell", category="audio_generation", name="Bell", show=False) as rung:
    for part in rung.track(range(1, 9), stage="synthesis", message="voice by voice"):
        rung.preview(bell[: 6_000 * part], rate=24_000)
        time.sleep(0.15)
running = headway.task("bell", category="audio_generation", name="Another", show=False)
running.update(0.4, stage="synthesis")
running.preview(bell, rate=24_000)
headway.show(rung, running)
"""

# Left and right, of the first one.
EDGES = """selector => {
    const box = document.querySelector(selector).getBoundingClientRect();
    return [box.left, box.right].map(Math.round);
}"""
PLAY = "player => { player.loop = true; return player.play(); }"
# The dialog's, then the card's.
PLAYING = "[...document.querySelectorAll('.hw-player')].map(player => !player.paused).join()"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [420, 900])
def test_a_sound_stands_under_its_drawing_and_is_heard_alone(
    lab: Lab, open_notebook: Callable[..., NotebookPage], width: int, dark: bool
) -> None:
    name = f"sound-{width}-{'dark' if dark else 'light'}"
    view = open_notebook(lab.write_notebook(f"{name}.ipynb", SOUND), width=width, height=1_100, dark=dark)
    page = view.page
    view.run_cell()
    page.wait_for_selector(".hw-card[data-status=completed] .hw-preview[data-sound] .hw-picture")
    page.wait_for_selector(".hw-card[data-status=in_progress] .hw-picture")
    page.locator(".hw-preview-scrubber").first.hover(position={"x": 40, "y": 20})
    page.wait_for_selector(".hw-strip:visible")
    drawn = page.evaluate(EDGES, ".hw-picture")
    assert page.evaluate(EDGES, ".hw-strip") == drawn
    assert page.evaluate(EDGES, ".hw-player") == drawn
    # No bars beside a drawing, nor over and under it.
    shapes = page.evaluate(
        "[...document.querySelectorAll('.hw-picture')].map(picture => "
        "picture.clientWidth / picture.clientHeight - picture.naturalWidth / picture.naturalHeight)"
    )
    assert [round(off, 1) for off in shapes] == [0, 0]
    assert page.evaluate(OVERFLOWS) == []
    view.shot(name)

    page.locator(".hw-player").evaluate(PLAY)
    page.locator(".hw-preview-scrubber").first.click(position={"x": 40, "y": 20})
    page.wait_for_selector("dialog .hw-player")
    assert page.evaluate(PLAYING) == "false,true"
    page.locator("dialog .hw-player").evaluate(PLAY)
    page.wait_for_function(f"() => {PLAYING} === 'true,false'")
    assert page.locator(".hw-dialog-caption").evaluate("text => text.scrollWidth <= text.clientWidth")
    view.shot(f"{name}-dialog")
    assert view.errors == []
