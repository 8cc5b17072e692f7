"""What the Chat tab does: minds hear, answer, are judged, sleep; and their conversation as the page shows it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from lab import jobs
from lab.config import DEFAULT
from lab.mind import Answer, Mind, Minds, brains
from lab.ui.control import FAULTS, notice
from lab.ui.night import mind_card, night_card, night_phases, night_title
from lab.ui.words import sentence
from lab.views import hypnogram

FIRST = "first mind"
NOBODY = "nobody"
NO_ANSWER = "There is no answer to judge yet. Ask it something first."
EXAMPLES = ("My name is Alice.", "What's my name?", "What is the capital of France?")
PLACES = {
    "STM": "note in STM", "LTM": "note in LTM", "archive": "note in the archive", "weights": "weights", "unknown": "unknown",
    "talk": "small talk",
}  # fmt: skip
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


class ChatHandlers:
    """What the tab's events do: values in, updates out."""

    def __init__(self, minds: Minds) -> None:
        self.minds, self._making = minds, threading.Lock()

    def speak(self, said: str, name: str | None, second: str, how: str, where: str) -> Iterator[list[Any]]:
        """Say one thing to one mind or two; yields the growing conversation."""
        if not said.strip():
            yield notice("A message must say something; got nothing. Type a sentence.", 2, 4)
            return
        try:
            listeners = [self.minds.get(name or self.first_mind() or "")]
            listeners += [self.minds.get(second)] if second not in (NOBODY, name) else []
            histories = [shown(mind) for mind in listeners]
            for place, mind in enumerate(listeners):
                histories[place] += [{"role": "user", "content": plain(said)}, {"role": "assistant", "content": ""}]
                yield _chats(histories)
                for piece in mind.say_stream(said, how, where):
                    if isinstance(piece, str):
                        histories[place][-1]["content"] += plain(piece)
                        yield _chats(histories)
                histories[place] = shown(mind)
            note = ""
            if listeners[0].wants_sleep and not jobs.night_state(listeners[0])["asleep"]:
                jobs.start_night(listeners[0])
                note = sentence("Short-term memory is full, so it has fallen asleep. It goes on answering meanwhile.")
            yield _chats(histories, note)
        except FAULTS as error:
            yield notice(error, 2, 4)

    def again(self, name: str | None, how: str, where: str, place: int | None, said: str | None) -> Iterator[list[Any]]:
        """Say a message of the user again, as it was or edited; what came after it is dropped from the conversation."""
        try:
            mind = self.minds.get(name or "")
            rows = mind.messages()
            users = [i for i, row in enumerate(rows) if row["role"] == "user"]
            index = users[-1] if place is None and users else place
            if index is None or index >= len(rows):
                yield notice("There is nothing to say again yet.", 2, 4, "note")
                return
            words = said if said is not None else rows[index]["text"]
            mind.memory.drop_messages(rows[index]["id"] - 1)
            yield from self.speak(words, name, NOBODY, how, where)
        except FAULTS as error:
            yield notice(error, 2, 4)

    def retry(self, name: str | None, how: str, where: str) -> Iterator[list[Any]]:
        yield from self.again(name, how, where, None, None)

    def edit(self, name: str | None, how: str, where: str, event: gr.EditData) -> Iterator[list[Any]]:
        index = event.index if isinstance(event.index, int) else event.index[0]
        yield from self.again(name, how, where, index, str(event.value))

    def with_mind(self, act: Callable[..., str]) -> Callable[..., list[Any]]:
        """A handler that runs `act(mind, …)` and shows the conversation anew and what was done, or why it cannot be."""

        def run(name: str | None, *values: Any) -> list[Any]:
            try:
                mind = self.minds.get(name or "")
                note = act(mind, *values)
                return [shown(mind), sentence(note) if note else ""]
            except FAULTS as error:
                return notice(error, 1, 2)

        return run

    def watch(self, name: str | None, before: str) -> Any:
        """How the mind stands and how its night goes on; nothing moves where nothing is new."""
        if not name or name not in self.minds.names():
            return gr.skip()
        try:
            mind = self.minds.get(name)
            mind.settle()
            state = jobs.night_state(mind)
        except FAULTS as error:
            return notice(error, 0, 6)
        stats = mind.stats()
        stamp = f"{name} {stats} {state['asleep']} {len(state['records'])} {state['message']}"
        if stamp == before:
            return gr.skip()
        return [
            mind_card(stats), night_card(mind, state),
            hypnogram(night_phases(state["records"], asleep=state["asleep"]), night_title(state)),
            gr.update(interactive=not state["asleep"]), gr.update(interactive=state["asleep"]), stamp,
        ]  # fmt: skip

    def enter(self, name: str | None, second: str) -> list[Any]:
        """Show the conversation of the chosen minds."""
        two = second not in (NOBODY, name)
        try:
            talk = shown(self.minds.get(name)) if name else []
            other = gr.update(value=shown(self.minds.get(second)) if two else [], visible=two)
            return [talk, other, "", "", gr.update(visible=len(talk) < 2 * len(EXAMPLES))]
        except FAULTS as error:
            return [gr.skip(), gr.skip(), sentence(str(error), "error"), "", gr.skip()]

    def make(self, new: str, of: str, current: str | None) -> list[Any]:
        """Make a mind and go on with it."""
        try:
            self.minds.create(new.strip(), of)
        except FAULTS as error:
            return notice(error, 2, 3)
        names = self.minds.names()
        chosen = gr.update(choices=names, value=new.strip())
        return [chosen, gr.update(choices=[NOBODY, *names]), sentence(f"{new.strip()} is here. Teach it something.")]

    def attach(self, current: str | None) -> list[Any]:
        """A first visit gets a mind at once; later ones find theirs again."""
        try:
            first, names = self.first_mind(), self.minds.names()
        except FAULTS as error:
            return notice(error, 2, 3)
        chosen = gr.update(choices=names, value=current if current in names else first)
        return [chosen, gr.update(choices=[NOBODY, *names]), gr.skip()]

    def first_mind(self) -> str | None:
        """The first mind there is; where there is none it is made, though a page loads and a person speaks at once."""
        with self._making:
            if not self.minds.names() and (brain := first_brain()):
                self.minds.create(FIRST, brain)
        return next(iter(self.minds.names()), None)


def praise(mind: Mind) -> str:
    """Call the last answer right."""
    if (answer := _last_answer(mind)) is None:
        return NO_ANSWER
    mind.feedback(answer, "right")
    if answer.traces:
        return "Good: it is surer of that now."
    return "Good. That came without a note, so there is none to strengthen."


def correct(mind: Mind, better: str | None = None) -> str:
    """Call the last answer wrong and, where it is known, say the right one."""
    if (answer := _last_answer(mind)) is None:
        return NO_ANSWER
    outcome = mind.feedback(answer, "wrong", better)
    if outcome is None:
        return "It will not give that answer to this question again. Tell it the right one, if you like."
    return outcome.text


def forget_talk(mind: Mind) -> str:
    """Drop the conversation, not what was learned in it."""
    mind.memory.drop_messages()
    return "The conversation is cleared. What it learned is still there."


def fall_asleep(mind: Mind) -> str:
    """Begin a night."""
    return f"Night {jobs.start_night(mind)} has begun. It goes on answering from what it knew before."


def _last_answer(mind: Mind) -> Answer | None:
    rows = [row for row in mind.messages() if row["role"] == "assistant" and row["about"].get("kind") == "answer"]
    return mind.recall_answer(rows[-1]) if rows else None


def _chats(histories: list[list[Message]], note: str = "") -> list[Any]:
    return [histories[0], histories[1] if len(histories) > 1 else [], note, ""]


def first_brain() -> str | None:
    """The brain that a first mind is made from, where there is one."""
    known = brains()
    return DEFAULT if DEFAULT in known else next(iter(known), None)
