"""The shell: one page with a tab for each thing a person does here, and the guards around it.

Loopback only. Requests with a foreign Host (DNS rebinding) are refused here, others that may not pass by the guard.
Nothing on the page comes from elsewhere.
"""

from __future__ import annotations

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

from collections.abc import Callable
from pathlib import Path

import gradio as gr
import httpx
import safehttpx  # type: ignore[import-untyped]
from fastapi import FastAPI, Response
from starlette.middleware.trustedhost import TrustedHostMiddleware

from lab.mind import Minds, minds_home
from lab.store import RunStore
from lab.ui.arena import build_arena_tab
from lab.ui.chart import PLOTLY_JS
from lab.ui.chat import build_chat
from lab.ui.guard import Guard, explain_os_error
from lab.ui.memory import build_memory
from lab.ui.runs import build_runs
from lab.ui.train import build_train

KEY = "QOR_LAB_KEY"
HOSTS = ["127.0.0.1", "localhost", "[::1]"]
LARGEST_UPLOAD = "512mb"
CACHE_S = (300, 3600)  # how often what was up- and downloaded is looked through, and how old it may become
STYLE = Path(__file__).with_name("style.css")
HEAD = '<meta name="viewport" content="width=device-width, initial-scale=1">'


def build_page(store: RunStore, minds: Minds, *, locked: bool = False) -> gr.Blocks:
    """The whole page over the runs of `store` and the minds beside them; with `locked` it can be logged out of."""
    page: gr.Blocks
    with gr.Blocks(title="QOR Lab", analytics_enabled=False, fill_width=True, delete_cache=CACHE_S) as page:
        gr.HTML(
            '<header class="lab-title"><h1>QOR Lab</h1><p>Small brains that keep learning: train them, watch them, '
            f"measure them.{' <a href=/logout>Log out</a>' if locked else ''}</p></header>"
        )
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Chat", id="chat") as chat:
                timers = {chat: build_chat(minds, page, chat)}
            with gr.Tab("Arena", id="arena") as arena:
                timers[arena] = build_arena_tab(store, arena)
            with gr.Tab("Train", id="train") as train:
                timers[train] = build_train(store, train)
            with gr.Tab("Runs", id="runs") as runs:
                timers[runs] = build_runs(store, runs)
            with gr.Tab("Memory", id="memory") as memory:
                build_memory(minds, memory)
        for opened in (chat, arena, train, runs, memory):  # only what is seen is followed: a tick costs a browser 0.1 s
            active = [gr.update(active=tab is opened) for tab in timers]
            opened.select(
                lambda active=active: active, None, list(timers.values()), queue=False, show_progress="hidden",
                api_visibility="private",
            )  # fmt: skip
    return page


def theme() -> gr.themes.Base:
    """One calm theme, with fonts that every system has."""
    fonts = ["system-ui", "sans-serif"]
    return gr.themes.Soft(
        primary_hue="violet", neutral_hue="slate", font=fonts, font_mono=["ui-monospace", "monospace"], radius_size="md"
    ).set(
        block_title_background_fill="none", block_title_text_color="*body_text_color", block_title_padding="0",
        block_label_background_fill="none", block_label_text_color="*body_text_color",
        block_title_background_fill_dark="none", block_label_background_fill_dark="none",
        block_title_text_color_dark="*body_text_color", block_label_text_color_dark="*body_text_color",
    )  # fmt: skip


def create_app(
    store: RunStore | None = None, api: Callable[[Minds], FastAPI] | None = None, key: str | None = None
) -> FastAPI:
    """The web application: guards, our own files, the page at / and what answers under /v1; `key` is else the environment's."""
    key = os.environ.get(KEY, "") if key is None else key
    store = store or RunStore()
    minds = Minds(minds_home(store.home))
    app = FastAPI(title="QOR Lab", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, key=key)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)  # the last added comes first
    script = PLOTLY_JS.read_bytes()

    @app.get("/lab/plotly.min.js", include_in_schema=False)
    async def plotly_js() -> Response:
        return Response(script, media_type="text/javascript", headers={"Cache-Control": "max-age=86400"})

    if api:
        app.mount("/v1", api(minds))
    page = build_page(store, minds, locked=bool(key.strip()))
    gr.processing_utils.async_ssrf_protected_download = _stay_here  # a file that is an address
    safehttpx.async_validate_url = _stay_here  # /file=http…, which asks for the name's address
    page.has_launched = True  # else gradio takes any file of this machine for an upload, and gives it out
    mounted: FastAPI = gr.mount_gradio_app(
        app, page, path="/", theme=theme(), css=STYLE.read_text(), head=HEAD,
        max_file_size=LARGEST_UPLOAD, footer_links=[], run_history=False, show_error=True,
        app_kwargs={"exception_handlers": {OSError: explain_os_error, httpx.InvalidURL: explain_os_error}},
    )  # fmt: skip
    return mounted


async def _stay_here(*_: object, **__: object) -> str:
    """In the place of what Gradio fetches from elsewhere for whoever asks it to."""
    raise gr.Error("a file must be uploaded; got an address. Fetch it yourself first.")
