"""The form of a run, generated from the fields of the config: labels, help, limits and checks come from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

import gradio as gr

from lab.config import BRAINS, PRESETS, SECTIONS, WORLD_STREAMS, ConfigError, RunConfig, build_config

SUGGESTED = {  # options that may also be a path
    "data": ["facts", "curriculum", "facts:animals,arithmetic", "facts:capitals", "facts:elements"],
    "stream": list(WORLD_STREAMS),
}  # fmt: skip


@dataclass(frozen=True)
class Field:
    """One option in the form; `model` is set where it belongs to one brain's group."""

    name: str
    model: str | None
    help: str
    kind: type
    component: Any


def make_field(spec: Any, kind: type, *, model: str | None = None, value: Any = None) -> Field:
    """The component that suits the option's type."""
    meta, name = spec.metadata, spec.name
    label = name.replace("_", " ")
    common: dict[str, Any] = {"label": label, "info": meta["help"], "interactive": True,
                              "elem_id": f"option-{model + '-' if model else ''}{name}"}  # fmt: skip
    value = spec.default if value is None else value
    component: Any
    if name in SUGGESTED:
        component = gr.Dropdown(SUGGESTED[name], value=value, allow_custom_value=True, filterable=True, **common)
    elif kind is bool:
        component = gr.Checkbox(value=value, **common)
    elif meta["choices"]:
        component = gr.Radio(list(meta["choices"]), value=value, **common)
    elif kind in (int, float):
        component = gr.Number(value=value, precision=0 if kind is int else None, **common)
    else:
        component = gr.Textbox(value=value, **common)
    return Field(name, model, meta["help"], kind, component)


def given_values(fields: Sequence[Field], values: Sequence[Any]) -> dict[str, Any]:
    """Give the values of fields by name, numbers as their options want them. Raises ConfigError for an empty one."""
    chosen = {}
    for field, value in zip(fields, values, strict=True):
        if value is None:
            raise ConfigError(f"{field.name} must not be empty. Write a value.", field.name)
        chosen[field.name] = float(value) if field.kind is float and isinstance(value, int) else value
    return chosen


def error_updates(
    fields: Sequence[Field], error: ConfigError | None, model: str | None, before: str | None
) -> tuple[list[Any], str | None]:
    """Give updates for the fields' components that put `error` at its field and clear the one marked before."""
    updates: list[Any] = []
    for field in fields:
        if error and field.name == error.field and field.model in (None, model):
            updates.append(gr.update(info=f"⚠ {error}"))
        elif field.name == before:
            updates.append(gr.update(info=field.help))
        else:
            updates.append(gr.skip())
    return updates, (error.field if error else None)


class Form:
    """All options of a run. Build it inside a Blocks context; `components` are its inputs, `read` gives a config."""

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self._brains: dict[str, Any] = {}
        self._section(RunConfig, lambda spec: True)
        for kind in SECTIONS.values():
            self._section(kind, lambda spec: not spec.metadata["advanced"])
        for model, kind in BRAINS.items():
            with gr.Accordion(f"Brain: every setting of {model}", open=False, visible=model == "qor") as fold:
                hints = get_type_hints(kind)
                for spec in fields(kind):
                    preset = PRESETS["tiny"].get(spec.name)
                    self.fields.append(make_field(spec, hints[spec.name], model=model, value=preset))
            self._brains[model] = fold
        for title, kind in (
            ("Data: every setting", SECTIONS["data"]),
            ("Training: every setting", SECTIONS["training"]),
        ):
            with gr.Accordion(title, open=False):
                self._section(kind, lambda spec: spec.metadata["advanced"])

    def _section(self, kind: type, wanted: Callable[[Any], bool]) -> None:
        hints = get_type_hints(kind)
        for spec in fields(kind):
            if "help" in spec.metadata and wanted(spec):
                self.fields.append(make_field(spec, hints[spec.name]))

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
        model, preset = self.component("model"), self.component("preset")
        sized = [field for field in self.fields if field.model and field.name in PRESETS["tiny"]]
        model.change(
            lambda chosen: [gr.update(visible=name == chosen) for name in self._brains],
            model, list(self._brains.values()), show_progress="hidden", queue=False, api_visibility="private",
        )  # fmt: skip
        preset.change(
            lambda chosen: [PRESETS[chosen][field.name] for field in sized],
            preset, [field.component for field in sized], show_progress="hidden", queue=False,
            api_visibility="private",
        )  # fmt: skip
