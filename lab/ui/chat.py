"""The Chat tab: teach a mind, ask it, correct it, put it to sleep; a second mind may hear the same beside it."""

from __future__ import annotations

import gradio as gr

from lab import jobs
from lab.mind import Minds, brains
from lab.ui.chart import live_chart
from lab.ui.chat_handlers import EXAMPLES, NOBODY, ChatHandlers, correct, fall_asleep, first_brain, forget_talk, praise
from lab.ui.control import POLL_S, QUIET, take_back


class ChatLayout:
    """The tab's components by name. `spoken`, `shown` and `entered` are what speaking, watching and choosing a mind update."""

    def __init__(self) -> None:
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320):
                self._talk()
                self._judge()
            with gr.Column(scale=2, min_width=300):
                self._mind()
                self._new()
        self.seen = gr.State("")
        self.samples = [gr.State(text) for text in EXAMPLES]
        self.timer = gr.Timer(POLL_S)
        self.spoken = [self.talk, self.other, self.message, self.text]
        self.shown = [self.card, self.night, self.chart, self.sleep, self.wake, self.seen]
        self.entered = [self.talk, self.other, self.message, self.seen, self.examples]

    def _talk(self) -> None:
        with gr.Row():
            self.who = gr.Dropdown(label="Mind", choices=[], elem_id="chat-mind", min_width=140)
            self.beside = gr.Dropdown(
                label="Beside it", choices=[NOBODY], value=NOBODY, elem_id="chat-beside", min_width=140
            )
        with gr.Row():
            self.talk = gr.Chatbot(
                label="You and the mind", show_label=False, height=430, elem_id="chat-talk",
                buttons=["copy", "copy_all"], editable="user",
                placeholder="Tell it something, then ask. Or press one of the sentences below.",
            )  # fmt: skip
            self.other = gr.Chatbot(
                label="Beside it", height=430, elem_id="chat-other", visible=False, buttons=["copy"]
            )
        self.message = gr.HTML(elem_id="chat-message")
        with gr.Row(elem_id="chat-examples") as self.examples:
            self.pressed = [gr.Button(text, size="sm", elem_id=f"chat-example-{i}") for i, text in enumerate(EXAMPLES)]
        with gr.Row():
            self.text = gr.Textbox(
                show_label=False, placeholder="Tell or ask …", elem_id="chat-text", scale=5, autofocus=True, max_lines=6,
                submit_btn=True,
            )  # fmt: skip

    def _judge(self) -> None:
        with gr.Row():
            self.right = gr.Button("Right", size="sm", elem_id="chat-right", min_width=80)
            self.wrong = gr.Button("Wrong", size="sm", elem_id="chat-wrong", min_width=80)
            self.undo = gr.Button("Undo", size="sm", elem_id="chat-undo", min_width=80)
        self.correction = gr.Textbox(
            label="No, it is …", placeholder="the right answer, then Enter", elem_id="chat-correction", submit_btn=True
        )

    def _mind(self) -> None:
        self.card = gr.HTML(elem_id="chat-card")
        with gr.Row():
            self.sleep = gr.Button("Sleep", variant="primary", elem_id="chat-sleep", min_width=100)
            self.wake = gr.Button("Wake", interactive=False, elem_id="chat-wake", min_width=100)
        self.night = gr.HTML(elem_id="chat-night")
        self.chart = live_chart({}, "chat-hypnogram")
        self.mode = gr.Radio(
            [("decide by itself", "auto"), ("teach", "teach"), ("ask", "ask")], value="auto", label="Take what I type as",
            elem_id="chat-mode",
        )  # fmt: skip
        self.memory = gr.Radio(
            [("notes, then weights", "both"), ("notes only", "notes"), ("weights only", "weights")], value="both", label="Answer from",
            elem_id="chat-memory",
        )  # fmt: skip

    def _new(self) -> None:
        with gr.Accordion("New mind", open=False, elem_id="chat-new"):
            self.name = gr.Textbox(label="Name", elem_id="chat-new-name")
            self.brain = gr.Dropdown(
                label="Brain: a starter, a run or a model folder", choices=list(brains()), allow_custom_value=True,
                elem_id="chat-new-brain", value=first_brain(),
            )  # fmt: skip
            self.create = gr.Button("Make it", elem_id="chat-new-create")
        self.clear = gr.Button("Clear the conversation (what it learned stays)", size="sm", elem_id="chat-clear")
        gr.HTML('<div class="lab-size">Same as: <code>python -m lab chat MIND</code></div>')


def build_chat(minds: Minds, page: gr.Blocks, tab: gr.Tab) -> gr.Timer:
    """Add the tab's contents. Gives what lets it follow the mind; it is on, since a page begins here."""
    at, do = ChatLayout(), ChatHandlers(minds)
    how = [at.who, at.beside, at.mode, at.memory]
    at.text.submit(do.speak, [at.text, *how], at.spoken, concurrency_limit=4, **QUIET)
    for button, sample in zip(at.pressed, at.samples, strict=True):
        button.click(do.speak, [sample, *how], at.spoken, concurrency_limit=4, **QUIET)
    said = [at.talk, at.message]
    at.right.click(do.with_mind(praise), at.who, said, **QUIET)
    at.wrong.click(do.with_mind(correct), at.who, said, **QUIET)
    corrected = at.correction.submit(do.with_mind(correct), [at.who, at.correction], said, **QUIET)
    corrected.then(lambda: "", None, at.correction, **QUIET)
    at.undo.click(do.with_mind(take_back), at.who, said, **QUIET)
    at.talk.clear(do.with_mind(forget_talk), at.who, said, **QUIET)
    at.clear.click(do.with_mind(forget_talk), at.who, said, **QUIET)
    at.talk.retry(do.retry, [at.who, at.mode, at.memory], at.spoken, **QUIET)
    at.talk.edit(do.edit, [at.who, at.mode, at.memory], at.spoken, **QUIET)
    at.sleep.click(do.with_mind(fall_asleep), at.who, said, **QUIET)
    at.wake.click(do.with_mind(jobs.wake), at.who, said, **QUIET)
    moves = [at.timer.tick, tab.select]
    gr.on(moves, do.watch, [at.who, at.seen], at.shown, trigger_mode="once", concurrency_limit=4, **QUIET)
    both = [at.who, at.beside]
    gr.on([at.who.change, at.beside.change], do.enter, both, at.entered, **QUIET)
    at.create.click(do.make, [at.name, at.brain, at.who], [*both, at.message], **QUIET)
    page.load(do.attach, at.who, [*both, at.message], **QUIET).then(do.enter, both, at.entered, **QUIET)
    return at.timer
