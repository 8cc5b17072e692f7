"""The form of a run, generated from the fields of the config: labels, help, limits and checks come from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

import gradio as gr

from lab.config import (
    CONTROL,
    DEFAULT,
    FAMILIES,
    PRESETS,
    SECTIONS,
    WORLD_STREAMS,
    ConfigError,
    RunConfig,
    build_config,
)
from lab.ui.control import QUIET
from lab.ui.words import sentence

SUGGESTED = {  # values of options that take others too
    "data": ["facts", "curriculum", "facts:animals,arithmetic", "facts:capitals", "facts:elements"],
    "stream": list(WORLD_STREAMS),
    "contestants": [
        *FAMILIES, *(f"{name}+naive" for name in FAMILIES if name != CONTROL), "joint",
        *(f"{CONTROL}+{one}" for one in ["dreams", "replay", "ewc", "lwf", "der", "lora", "l2", "sparse", "slots", "bands", "frozen"]),
        *(
            f"{name}/{ablation}" for name, family in FAMILIES.items() for ablation, (without, changes) in family.ablations.items()
            if changes or without in family.strategies
        ),
    ],
}  # fmt: skip
SEVERAL = ("contestants",)  # options with commas between their values


@dataclass(frozen=True)
class Field:
    """One option in the form; `model` is set where it belongs to one brain's group."""

    name: str
    model: str | None
    help: str
    kind: type
    component: Any


def make_field(spec: Any, kind: type, group: str = "option", *, model: str | None = None, value: Any = None) -> Field:
    """The component that suits the option's type."""
    meta, name = spec.metadata, spec.name
    common: dict[str, Any] = {"label": name.replace("_", " "), "info": meta["help"], "interactive": True,
                              "elem_id": f"{group}-{model + '-' if model else ''}{name}"}  # fmt: skip
    common["value"] = form_value(name, spec.default if value is None else value)
    component: Any
    if name in SUGGESTED:
        several = True if name in SEVERAL else None
        component = gr.Dropdown(SUGGESTED[name], multiselect=several, allow_custom_value=True, **common)
    elif kind is bool:
        component = gr.Checkbox(**common)
    elif meta["choices"]:
        component = gr.Radio(list(meta["choices"]), **common)
    elif kind in (int, float):
        component = gr.Number(precision=0 if kind is int else None, **common)
    else:
        component = gr.Textbox(**common)
    return Field(name, model, meta["help"], kind, component)


def make_fields(
    config: type, group: str = "option", *, advanced: bool | None = None, model: str | None = None
) -> list[Field]:
    """The fields of a config's options: all, the advanced or the others; of a brain in the smallest size."""
    hints, sized = get_type_hints(config), PRESETS["tiny"] if model else {}
    return [
        make_field(spec, hints[spec.name], group, model=model, value=sized.get(spec.name)) for spec in fields(config)
        if "help" in spec.metadata and advanced in (None, spec.metadata["advanced"])
    ]  # fmt: skip


def form_value(name: str, value: Any) -> Any:
    """An option's value as its component has it."""
    return value.split(",") if name in SEVERAL else value


def given_values(fields: Sequence[Field], values: Sequence[Any]) -> dict[str, Any]:
    """Give the values of fields by name, as their options want them. Raises ConfigError for an empty one."""
    chosen = {}
    for field, value in zip(fields, values, strict=True):
        if value is None:
            raise ConfigError(f"{field.name} must not be empty. Write a value.", field.name)
        value = ",".join(value) if isinstance(value, list) else value
        chosen[field.name] = float(value) if field.kind is float and isinstance(value, int) else value
    return chosen


def check_fields(
    fields: Sequence[Field], before: str | None, values: Sequence[Any], describe: Callable[[], tuple[str, str]]
) -> list[Any]:
    """Updates of message, size, command, Start, the name of the marked field and the fields' components.

    `describe` gives what stands below the form, or raises ConfigError; that goes to its field, and frees the one marked `before`.
    The first value is the brain's kind, where fields belong to one.
    """
    try:
        size, command = describe()
    except ConfigError as error:
        bad = [field for field in fields if field.name == error.field and field.model in (None, values[0])]
        marks = [gr.update(info=f"⚠ {error}") if field in bad else _free(field, before) for field in fields]
        return [sentence(str(error), "error"), "", gr.skip(), gr.update(interactive=False), error.field, *marks]
    return ["", size, command, gr.update(interactive=True), None, *(_free(field, before) for field in fields)]


def _free(field: Field, before: str | None) -> Any:
    return gr.update(info=field.help) if field.name == before else gr.skip()


def command_code(tab: str) -> gr.Code:
    """The place of the command that does the same as the form."""
    shown: dict[str, Any] = {"interactive": False, "lines": 1, "wrap_lines": True}
    return gr.Code(label="Same as", language="shell", elem_id=f"{tab}-command", **shown)


class Form:
    """All options of a run. Build it inside a Blocks context; `components` are its inputs, `read` gives a config."""

    def __init__(self) -> None:
        self.fields = make_fields(RunConfig)
        self._brains: dict[str, Any] = {}
        for kind in SECTIONS.values():
            self.fields += make_fields(kind, advanced=False)
        for model, family in FAMILIES.items():
            with gr.Accordion(f"Brain: every setting of {model}", open=False, visible=model == DEFAULT) as fold:
                self.fields += make_fields(family.config, model=model)
            self._brains[model] = fold
        for title, section in (("Data", "data"), ("Training", "training")):
            with gr.Accordion(f"{title}: every setting", open=False):
                self.fields += make_fields(SECTIONS[section], advanced=True)

    @property
    def components(self) -> list[Any]:
        return [field.component for field in self.fields]

    def component(self, name: str) -> Any:
        return next(field.component for field in self.fields if field.name == name)

    def read(self, values: tuple[Any, ...]) -> RunConfig:
        """Make the config that `values`, in the order of `components`, describe. Raises ConfigError."""
        model = values[[field.name for field in self.fields].index("model")]
        mine = [pair for pair in zip(self.fields, values, strict=True) if pair[0].model in (None, model)]
        return build_config(given_values([field for field, _ in mine], [value for _, value in mine]))

    def follow_model(self) -> None:
        """Show the settings of the chosen brain; set width, layers and heads to the chosen preset."""
        sized = [field for field in self.fields if field.model and field.name in PRESETS["tiny"]]
        self.component("model").change(
            lambda chosen: [gr.update(visible=name == chosen) for name in self._brains],
            self.component("model"), list(self._brains.values()), queue=False, **QUIET,
        )  # fmt: skip
        self.component("preset").change(
            lambda chosen: [PRESETS[chosen][field.name] for field in sized],
            self.component("preset"), [field.component for field in sized], queue=False, **QUIET,
        )  # fmt: skip
