"""The Chat tab: teach a mind, ask it, correct it, put it to sleep; a second mind may hear the same beside it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr

from lab import jobs
from lab.config import ConfigError
from lab.mind import Mind, MindError, Minds, brains
from lab.ui.chart import live_chart
from lab.ui.night import mind_card, night_card, night_phases, night_title
from lab.ui.words import sentence
from lab.views import hypnogram

POLL_S = 1.0
FIRST = "first mind"
NOBODY = "nobody"
_making = threading.Lock()  # of the first mind
EXAMPLES = ("My name is Alice.", "What's my name?", "What is the capital of France?")
PLACES = {
    "STM": "note in STM",
    "LTM": "note in LTM",
    "archive": "note in the archive",
    "weights": "weights",
    "unknown": "unknown",
    "talk": "small talk",
}
Message = dict[str, Any]


def plain(text: str) -> str:
    """Text as it is, in a place that reads Markdown."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$&:@/])", lambda m: f"&#{ord(m[1])};", text)


def badge(about: dict[str, Any], traces: list[str]) -> str:
    """Where an answer came from, how sure it is, and the notes it used, as a line of Markdown."""
    if about.get("kind") == "taught":
        return ""
    place = PLACES.get(str(about.get("source")), "?")
    sure = f" `{float(about.get('confidence', 0)):.0%} sure`" if about.get("source") not in ("talk",) else ""
    used = "".join(f"\n\n> {plain(text)}" for text in traces)
    return f"\n\n`{place}`{sure}{used}"


def shown(mind: Mind) -> list[Message]:
    """The conversation with a mind, as the chat shows it."""
    texts = {trace.id: trace.text for trace in mind.traces(all=True)}
    found = []
    for row in mind.messages():
        used = [texts[n] for n in row["about"].get("traces", []) if n in texts]
        extra = badge(row["about"], used) if row["role"] == "assistant" else ""
        found.append({"role": row["role"], "content": plain(row["text"]) + extra})
    return found


def build_chat(minds: Minds, page: gr.Blocks, tab: gr.Tab) -> gr.Timer:
    """Add the tab's contents. Gives what lets it follow the mind; it is on, since a page begins here."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=320):
            with gr.Row():
                who = gr.Dropdown(label="Mind", choices=[], elem_id="chat-mind", min_width=140)
                beside = gr.Dropdown(
                    label="Beside it", choices=[NOBODY], value=NOBODY, elem_id="chat-beside", min_width=140
                )
            with gr.Row():
                talk = gr.Chatbot(
                    label="You and the mind", show_label=False, height=430, elem_id="chat-talk",
                    buttons=["copy", "copy_all"], editable="user",
                    placeholder="Tell it something, then ask. Or press one of the sentences below.",
                )  # fmt: skip
                other = gr.Chatbot(label="Beside it", height=430, elem_id="chat-other", visible=False, buttons=["copy"])
            message = gr.HTML(elem_id="chat-message")
            with gr.Row(elem_id="chat-examples") as examples:
                pressed = [gr.Button(text, size="sm", elem_id=f"chat-example-{i}") for i, text in enumerate(EXAMPLES)]
            with gr.Row():
                text = gr.Textbox(
                    show_label=False, placeholder="Tell or ask …", elem_id="chat-text", scale=5, autofocus=True, max_lines=6,
                    submit_btn=True,
                )  # fmt: skip
            with gr.Row():
                right = gr.Button("Right", size="sm", elem_id="chat-right", min_width=80)
                wrong = gr.Button("Wrong", size="sm", elem_id="chat-wrong", min_width=80)
                undo = gr.Button("Undo", size="sm", elem_id="chat-undo", min_width=80)
            correction = gr.Textbox(
                label="No, it is …",
                placeholder="the right answer, then Enter",
                elem_id="chat-correction",
                submit_btn=True,
            )
        with gr.Column(scale=2, min_width=300):
            card = gr.HTML(elem_id="chat-card")
            with gr.Row():
                sleep = gr.Button("Sleep", variant="primary", elem_id="chat-sleep", min_width=100)
                wake = gr.Button("Wake", interactive=False, elem_id="chat-wake", min_width=100)
            night = gr.HTML(elem_id="chat-night")
            chart = live_chart({}, "chat-hypnogram")
            mode = gr.Radio(
                [("decide by itself", "auto"), ("teach", "teach"), ("ask", "ask")],
                value="auto",
                label="Take what I type as",
                elem_id="chat-mode",
            )
            memory = gr.Radio(
                [("notes, then weights", "both"), ("notes only", "notes"), ("weights only", "weights")], value="both", label="Answer from",
                elem_id="chat-memory",
            )  # fmt: skip
            with gr.Accordion("New mind", open=False, elem_id="chat-new"):
                name = gr.Textbox(label="Name", elem_id="chat-new-name")
                brain = gr.Dropdown(
                    label="Brain: a starter, a run or a model folder", choices=list(brains()), allow_custom_value=True,
                    elem_id="chat-new-brain",
                    value=_first_brain(),
                )  # fmt: skip
                create = gr.Button("Make it", elem_id="chat-new-create")
            clear = gr.Button("Clear the conversation (what it learned stays)", size="sm", elem_id="chat-clear")
            gr.HTML('<div class="lab-size">Same as: <code>python -m lab chat MIND</code></div>')
    seen = gr.State("")

    def speak(said: str, name: str | None, second: str, how: str, where: str) -> Iterator[list[Any]]:
        """Say one thing to one mind or two; yields the growing conversation."""
        if not said.strip():
            yield [
                gr.skip(),
                gr.skip(),
                sentence("A message must say something; got nothing. Type a sentence.", "error"),
                gr.skip(),
            ]
            return
        try:
            listeners = [minds.get(name or _first_mind(minds) or "")] + (
                [minds.get(second)] if second not in (NOBODY, name) else []
            )
            histories = [shown(mind) for mind in listeners]
            for place, mind in enumerate(listeners):
                histories[place] += [{"role": "user", "content": plain(said)}, {"role": "assistant", "content": ""}]
                yield _chats(histories, "", "")
                for piece in mind.say_stream(said, how, where):
                    if isinstance(piece, str):
                        histories[place][-1]["content"] += plain(piece)
                        yield _chats(histories, "", "")
                histories[place] = shown(mind)
            note = ""
            if listeners[0].wants_sleep and not jobs.night_state(listeners[0])["asleep"]:
                jobs.start_night(listeners[0])
                note = sentence("Short-term memory is full, so it has fallen asleep. It goes on answering meanwhile.")
            yield _chats(histories, note, "")
        except (MindError, ConfigError, ValueError, OSError) as error:
            yield [gr.skip(), gr.skip(), sentence(str(error), "error"), gr.skip()]

    def _chats(histories: list[list[Message]], note: str, box: str) -> list[Any]:
        return [histories[0], histories[1] if len(histories) > 1 else [], note, box]

    spoken = [talk, other, message, text]
    asked = [text, who, beside, mode, memory]
    text.submit(speak, asked, spoken, concurrency_limit=4, **quiet)
    for button, sample in zip(pressed, EXAMPLES, strict=True):
        button.click(speak, [gr.State(sample), *asked[1:]], spoken, concurrency_limit=4, **quiet)

    def with_mind(act: Any) -> Any:
        """Run `act(mind, …)` and show the conversation anew, or the reason why it cannot be."""

        def run(name: str | None, *values: Any) -> list[Any]:
            try:
                mind = minds.get(name or "")
                note = act(mind, *values)
                return [shown(mind), sentence(note) if note else ""]
            except (MindError, ConfigError, ValueError, OSError) as error:
                return [gr.skip(), sentence(str(error), "error")]

        return run

    def judge(mind: Mind, verdict: str, better: str | None = None) -> str:
        answers = [
            row for row in mind.messages() if row["role"] == "assistant" and row["about"].get("kind") == "answer"
        ]
        if not answers:
            return "There is no answer to judge yet. Ask it something first."
        answer = mind.recall_answer(answers[-1])
        if verdict == "right":
            mind.feedback(answer, "right")
            return (
                "Good: it is surer of that now."
                if answer.traces
                else "Good. That came without a note, so there is none to strengthen."
            )
        outcome = mind.feedback(answer, "wrong", better)
        if outcome is None:
            return "It will not give that answer to this question again. Tell it the right one, if you like."
        return outcome.text

    right.click(with_mind(lambda mind: judge(mind, "right")), who, [talk, message], **quiet)
    wrong.click(with_mind(lambda mind: judge(mind, "wrong")), who, [talk, message], **quiet)
    correction.submit(
        with_mind(lambda mind, better: judge(mind, "wrong", better)), [who, correction], [talk, message], **quiet
    ).then(lambda: "", None, correction, **quiet)

    def take_back(mind: Mind) -> str:
        what = mind.undo()
        return f"Taken back: {what}." if what else "There is nothing to take back since its last night."

    undo.click(with_mind(take_back), who, [talk, message], **quiet)

    def forget_talk(mind: Mind) -> str:
        mind.memory.drop_messages()
        return "The conversation is cleared. What it learned is still there."

    talk.clear(with_mind(forget_talk), who, [talk, message], **quiet)
    clear.click(with_mind(forget_talk), who, [talk, message], **quiet)

    def again(name: str | None, how: str, where: str, place: int | None, said: str | None) -> Iterator[list[Any]]:
        """Say a message of the user again, as it was or edited; what came after it is dropped from the conversation."""
        try:
            mind = minds.get(name or "")
            rows = mind.messages()
            users = [i for i, row in enumerate(rows) if row["role"] == "user"]
            index = users[-1] if place is None and users else place
            if index is None or index >= len(rows):
                yield [gr.skip(), gr.skip(), sentence("There is nothing to say again yet."), gr.skip()]
                return
            words = said if said is not None else rows[index]["text"]
            mind.memory.drop_messages(rows[index]["id"] - 1)
            yield from speak(words, name, NOBODY, how, where)
        except (MindError, ValueError, OSError) as error:
            yield [gr.skip(), gr.skip(), sentence(str(error), "error"), gr.skip()]

    def retry(name: str | None, how: str, where: str) -> Iterator[list[Any]]:
        yield from again(name, how, where, None, None)

    def edit(name: str | None, how: str, where: str, event: gr.EditData) -> Iterator[list[Any]]:
        index = event.index if isinstance(event.index, int) else event.index[0]
        yield from again(name, how, where, index, str(event.value))

    talk.retry(retry, [who, mode, memory], spoken, **quiet)
    talk.edit(edit, [who, mode, memory], spoken, **quiet)

    def fall_asleep(mind: Mind) -> str:
        number = jobs.start_night(mind)
        return f"Night {number} has begun. It goes on answering from what it knew before."

    sleep.click(with_mind(fall_asleep), who, [talk, message], **quiet)
    wake.click(
        with_mind(jobs.wake),
        who,
        [talk, message],
        **quiet,
    )

    watched = [card, night, chart, sleep, wake, seen]

    def watch(name: str | None, before: str) -> list[Any]:
        """How the mind stands and how its night goes on; nothing moves where nothing is new."""
        if not name or name not in minds.names():
            return [gr.skip()] * len(watched)
        try:
            mind = minds.get(name)
            mind.settle()
            state = jobs.night_state(mind)
        except (MindError, ConfigError, ValueError, OSError) as error:
            return [sentence(str(error), "error"), *[gr.skip()] * (len(watched) - 1)]
        stats = mind.stats()
        stamp = f"{name} {stats} {state['asleep']} {len(state['records'])} {state['message']}"
        if stamp == before:
            return [gr.skip()] * len(watched)
        return [
            mind_card(stats), night_card(mind, state),
            hypnogram(night_phases(state["records"], asleep=state["asleep"]), night_title(state)),
            gr.update(interactive=not state["asleep"]), gr.update(interactive=state["asleep"]), stamp,
        ]  # fmt: skip

    timer = gr.Timer(POLL_S)
    gr.on([timer.tick, tab.select], watch, [who, seen], watched, trigger_mode="once", concurrency_limit=4, **quiet)

    def enter(name: str | None, second: str) -> list[Any]:
        """Show the conversation of the chosen minds."""
        try:
            one = shown(minds.get(name)) if name else []
            two = shown(minds.get(second)) if second not in (NOBODY, name) else []
            return [
                one,
                gr.update(value=two, visible=second not in (NOBODY, name)),
                "",
                "",
                gr.update(visible=len(one) < 2 * len(EXAMPLES)),
            ]
        except (MindError, ConfigError, ValueError, OSError) as error:
            return [gr.skip(), gr.skip(), sentence(str(error), "error"), "", gr.skip()]

    entered = [talk, other, message, seen, examples]
    gr.on([who.change, beside.change], enter, [who, beside], entered, **quiet)

    def make(new: str, of: str, current: str | None) -> list[Any]:
        try:
            minds.create(new.strip(), of)
        except (MindError, ConfigError, OSError) as error:
            return [gr.skip(), gr.skip(), sentence(str(error), "error")]
        return [
            gr.update(choices=minds.names(), value=new.strip()),
            gr.update(choices=[NOBODY, *minds.names()]),
            sentence(f"{new.strip()} is here. Teach it something."),
        ]

    create.click(make, [name, brain, who], [who, beside, message], **quiet)

    def attach(current: str | None) -> list[Any]:
        """A first visit gets a mind at once; later ones find theirs again."""
        try:
            first, names = _first_mind(minds), minds.names()
            chosen = current if current in names else first
            return [gr.update(choices=names, value=chosen), gr.update(choices=[NOBODY, *names]), gr.skip()]
        except (MindError, ConfigError, OSError) as error:
            return [gr.skip(), gr.skip(), sentence(str(error), "error")]

    page.load(attach, who, [who, beside, message], **quiet).then(enter, [who, beside], entered, **quiet)
    return timer


def _first_mind(minds: Minds) -> str | None:
    """The first mind there is; where there is none it is made, though a page loads and a person speaks at once."""
    brain = _first_brain()
    with _making:
        if brain and not minds.names():
            minds.create(FIRST, brain)
    return next(iter(minds.names()), None)


def _first_brain() -> str | None:
    known = brains()
    return "qor" if "qor" in known else next(iter(known), None)
