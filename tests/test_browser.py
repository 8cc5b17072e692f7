"""The page in a real Chromium, as a person uses it. Where no Chromium is installed this is skipped; in CI it fails.

Every test fails if the browser asks anybody but 127.0.0.1 for anything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.store import RunStore
from tests.conftest import tiny, train_here, wait_until

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-features=Translate,OptimizationHints,MediaRouter",
]  # fmt: skip

if CHROMIUM is None and os.environ.get("CI"):
    raise RuntimeError("CI must have a browser; there is no chromium. Install Debian's chromium.")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here"),
    pytest.mark.xdist_group("browser"),  # one app and one Chromium for all of them
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser") / "runs"


@contextmanager
def app(home: Path) -> Iterator[tuple[Any, str]]:
    """The app as a user starts it: its process and its address."""
    words = [sys.executable, "app.py", "--port", "0", "--no-browser"]
    environment = {**os.environ, "QOR_LAB_RUNS": str(home)}
    with subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, next(line.split()[4] for line in process.stdout if line.startswith("QOR Lab is at"))
        process.terminate()


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with app(home) as (_, found):
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One person's: a second visit has what the first has loaded."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started.new_context(viewport={"width": 1280, "height": 900})
        started.close()


class Visit:
    """One tab, with a note of every foreign request and every script error."""

    def __init__(self, browser: Any, address: str, *, tab: str = "Train") -> None:
        self.page = browser.new_page()
        self.page.set_default_timeout(60_000)
        self.foreign: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", self._note)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector("#chat-text")
        self.open(tab)
        if tab == "Train":
            self.page.wait_for_selector("#train-start")
            self.wait("#train-size", "weights")

    def open(self, tab: str) -> None:
        self.page.get_by_role("tab", name=tab, exact=True).click()

    def _note(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
            self.foreign.append(request.url)

    def set(self, option: str, value: object) -> None:
        box = self.page.locator(f"#option-{option} input, #option-{option} textarea").first
        box.fill(str(value))
        box.press("Tab")

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def until(self, true: str, *arguments: str) -> None:
        """Wait for JavaScript to be true."""
        self.page.wait_for_function(true, arg=list(arguments))

    def wait(self, selector: str, part: str) -> None:
        self.until(
            "([selector, part]) => (document.querySelector(selector)?.innerText ?? '').includes(part)", selector, part
        )

    def leave(self) -> None:
        self.page.close()
        assert self.foreign == [] and self.errors == []


def newest(home: Path) -> Any:
    """The newest run of this home: the starters, which every home lists, are not among them."""
    return next((run for run in RunStore(home).list() if run.folder.parent == home), None)


def written(home: Path) -> int:
    """How much the newest run has logged."""
    events = newest(home).events
    return int(events.stat().st_size) if events.exists() else 0


def test_train_watch_leave_return_stop_resume(browser: Any, address: str, home: Path) -> None:
    """Start QOR, see it learn live, close the tab, come back, stop, resume; the charts' DOM is never rebuilt."""
    visit = Visit(browser, address)
    visit.wait("#train-card", "finished")  # a starter: nothing of this home's own has been trained yet
    visit.set("data", "facts:states")
    visit.set("steps", 4000)
    visit.page.click("text=Brain: every setting of qor")
    visit.set("qor-width", 32)
    visit.set("qor-layers", 1)
    visit.set("qor-heads", 2)
    visit.wait("#train-command", "--steps 4000")
    visit.wait("#train-command", "--width 32")
    visit.page.click("#train-start")
    visit.wait("#train-card", "running")
    points = "document.querySelector('#chart-loss .lab-chart-box').data?.[0]?.x.length ?? 0"
    visit.until(points + " > 5")
    visit.page.evaluate("document.querySelector('#chart-loss .lab-chart-box .main-svg').dataset.kept = 'yes'")
    seen = visit.page.evaluate("document.querySelector('#chart-loss .lab-chart-box').data[0].x.at(-1)")
    visit.until(f"document.querySelector('#chart-loss .lab-chart-box').data[0].x.at(-1) > {seen}")
    assert visit.page.evaluate("document.querySelector('#chart-loss .lab-chart-box .main-svg').dataset.kept") == "yes"
    for chart in ("bands", "surprise", "fire_rate", "lr", "tokens_s"):
        visit.until(f"document.querySelector('#chart-{chart} .lab-chart-box').data?.length > 0")
    visit.wait("#train-card", "left")
    visit.leave()

    run = newest(home)
    assert run.live
    back = Visit(browser, address)
    back.wait("#train-card", run.id)
    back.wait("#train-samples", "step")
    back.page.click("#train-stop")
    back.wait("#train-card", "stopped")
    assert newest(home).status == "stopped"
    back.page.click("#train-resume")
    wait_until(lambda: newest(home).status == "running")
    back.wait("#train-card", "running")
    back.page.click("#train-stop")
    back.wait("#train-card", "stopped")
    back.leave()


def test_a_mistake_stands_next_to_its_field(browser: Any, address: str, home: Path) -> None:
    """The rule, the value and the remedy; Start waits until it is mended. All by keyboard."""
    before = len(RunStore(home).list())
    visit = Visit(browser, address)
    visit.page.click("text=Brain: every setting of qor")
    visit.set("qor-heads", 3)
    visit.wait("#option-qor-heads", "width must be divisible by heads; got 128 and 3. Try 2 heads.")
    assert visit.page.is_disabled("#train-start")
    visit.set("qor-heads", 4)
    visit.until("!document.querySelector('#option-qor-heads').innerText.includes('must')")
    visit.set("data", "nowhere.txt")
    visit.page.focus("#train-preview")
    visit.page.keyboard.press("Enter")
    visit.wait("#train-message", "data must name a file that exists")
    visit.set("data", "facts:states")
    visit.page.focus("#train-preview")
    visit.page.keyboard.press("Enter")
    visit.wait("#train-preview-text", "Montgomery")
    visit.leave()
    assert len(RunStore(home).list()) == before


def test_an_uploaded_file_is_trained_on(browser: Any, address: str, home: Path, tmp_path: Path) -> None:
    """The baseline, by the preset and the radio buttons, on a file of one's own."""
    book = tmp_path / "book.txt"
    book.write_text("\n\n".join(f"Chapter {i}. It was a dark and stormy night." for i in range(300)))
    visit = Visit(browser, address)
    visit.page.check("#option-model input[value=baseline]")
    visit.page.set_input_files("#train-upload input[type=file]", str(book))
    visit.wait("#train-command", "book.txt")
    visit.set("steps", 30)
    visit.wait("#train-command", "--steps 30")
    before = newest(home)
    visit.page.click("#train-start")
    wait_until(lambda: (run := newest(home)) and (before is None or run.id != before.id) and run.status == "finished")
    run = newest(home)
    visit.wait("#train-card", run.id)
    visit.leave()
    assert run.record["model"] == "baseline" and "book.txt" in run.record["config"]["data"]


def test_runs_are_compared_and_exported(browser: Any, address: str, home: Path) -> None:
    """Two curves over each other, the options in which they differ, other axes, CSV and Parquet."""
    runs = [train_here(RunStore(home), tiny(steps=steps)) for steps in (20, 30)]
    visit = Visit(browser, address)
    visit.page.click("role=tab[name=Runs]")
    visit.wait("#runs-table", runs[1].id)
    visit.until("document.querySelector('#runs-chart .lab-chart-box').data?.length === 2")
    visit.wait("#runs-diff", "steps")
    visit.page.check("#runs-axis input[value=tokens]")
    visit.until("document.querySelector('#runs-chart .lab-chart-box').layout.xaxis.title.text === 'tokens read'")
    for kind in ("csv", "parquet"):
        visit.page.click(f"#runs-{kind}")
        visit.wait("#runs-note", f"--format {kind}")
        visit.wait("#runs-file", f"runs-{kind}")
    visit.leave()


def test_killing_the_app_ends_no_run(browser: Any, home: Path, tmp_path: Path) -> None:
    """kill -9 of the app while a run trains, twice: the run goes on, and the next page is attached to it."""
    runs = tmp_path / "runs"
    for turn in range(2):
        with app(runs) as (process, found):
            visit = Visit(browser, found)
            if turn == 0:
                visit.set("data", "facts:states")
                visit.set("steps", 100000)
                visit.wait("#train-command", "--steps 100000")
                visit.page.click("#train-start")
            visit.wait("#train-card", "running")
            process.kill()
            visit.page.close()
        before = written(runs)
        wait_until(lambda before=before: written(runs) > before)
    (newest(runs).folder / "stop").touch()
    wait_until(lambda: newest(runs).status == "stopped")


def test_two_brains_compete_and_the_page_says_who_forgot(browser: Any, address: str) -> None:
    """A mistake stands at its field; Start, live curves, the very answers, a verdict, files; found again by the next visit."""
    visit = Visit(browser, address, tab="Arena")
    visit.wait("#arena-size", "animals → arithmetic")
    visit.page.click("text=/^Every setting$/")
    for name, value in (("seeds", 0), ("facts", 4), ("steps", 6), ("width", 32), ("layers", 1)):
        box = visit.page.locator(f"#arena-{name} input").first
        box.fill(str(value))
        box.press("Tab")
    visit.wait("#arena-seeds", "seeds must be from 1")
    visit.page.locator("#arena-seeds input").first.fill("1")
    visit.page.locator("#arena-seeds input").first.press("Tab")
    visit.wait("#arena-command", "--facts 4 --steps 6 --width 32 --layers 1")
    visit.page.click("#arena-start")
    visit.wait("#arena-card", "finished")
    visit.wait("#arena-verdict", "One seed declares no winner: qor")
    visit.wait("#arena-answers", "right answer")
    visit.until("document.querySelectorAll('#arena-first .js-line').length >= 2")
    visit.page.click("#arena-json")
    visit.wait("#arena-note", "arena report")
    visit.leave()
    again = Visit(browser, address, tab="Arena")
    again.wait("#arena-verdict", "One seed declares no winner: qor")
    again.leave()


def test_nothing_is_wider_than_the_page(browser: Any, address: str) -> None:
    """No sideways scrolling on a phone or a laptop, light or dark, on any tab."""
    visit = Visit(browser, address)
    for tab in ("Chat", "Arena", "Train", "Runs", "Memory"):
        visit.page.click(f"role=tab[name={tab}]")
        for width, shade in ((1280, "light"), (390, "light"), (390, "dark"), (1280, "dark")):
            visit.page.set_viewport_size({"width": width, "height": 900})
            visit.page.evaluate("dark => document.body.classList.toggle('dark', dark)", shade == "dark")
            visit.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
            folder = os.environ.get("QOR_LAB_SCREENSHOTS")
            if folder:
                visit.page.screenshot(path=f"{folder}/{tab.lower()}-{width}-{shade}.png", full_page=True)
    visit.leave()


def test_a_mind_is_taught_corrected_and_found_again(browser: Any, address: str, home: Path) -> None:
    """A first visit can press an example; answers have badges; wrong, corrected, undone; the next visit finds it all."""
    visit = Visit(browser, address, tab="Chat")
    visit.page.click("#chat-example-0")
    visit.wait("#chat-talk", "Stored in")
    visit.page.click("#chat-example-1")
    visit.wait("#chat-talk", "note in")
    visit.page.fill("#chat-correction textarea, #chat-correction input", "Zora")
    visit.page.press("#chat-correction textarea, #chat-correction input", "Enter")
    visit.wait("#chat-message", "Zora")
    visit.page.fill("#chat-text textarea", "what's my name")
    visit.page.press("#chat-text textarea", "Enter")
    visit.until("document.querySelector('#chat-talk').innerText.split('note in').length > 2")  # two whole answers
    visit.wait("#chat-talk", "Zora")
    visit.page.click("#chat-undo")
    visit.wait("#chat-message", "Taken back")
    visit.page.fill("#chat-text textarea", "  ")
    visit.page.press("#chat-text textarea", "Enter")
    visit.wait("#chat-message", "must say something")
    visit.leave()
    again = Visit(browser, address, tab="Chat")
    again.wait("#chat-talk", "Zora")
    again.open("Memory")
    again.wait("#memory-table", "My name is Alice.")
    again.leave()


def test_a_night_can_be_watched_and_broken_off(browser: Any, address: str) -> None:
    """Sleep shows its phases while the mind answers on; Wake takes the night back."""
    visit = Visit(browser, address, tab="Chat")
    visit.page.fill("#chat-text textarea", "I live in Oslo.")
    visit.page.press("#chat-text textarea", "Enter")
    visit.wait("#chat-talk", "“I live in Oslo.”")  # it has stored it
    visit.page.click("#chat-sleep")
    visit.wait("#chat-night", "NREM")
    visit.page.fill("#chat-text textarea", "where do i live?")
    visit.page.press("#chat-text textarea", "Enter")
    visit.wait("#chat-talk", "where do i live?")
    visit.page.click("#chat-wake")
    visit.wait("#chat-night", "broken off")
    visit.leave()
