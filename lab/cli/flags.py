"""Flags are generated from the config's fields, and what was given is read back into them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, get_type_hints

from lab.config import FAMILIES, option_kinds


def add_option_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every field of every config; one that only some models have says so."""
    owners: dict[str, list[str]] = {}
    for name, family in FAMILIES.items():
        for spec in fields(family.config):
            owners.setdefault(spec.name, []).append(name)
    done: set[str] = set()
    for kind in option_kinds():
        hints = get_type_hints(kind)
        for spec in fields(kind):
            if "help" not in spec.metadata or spec.name in done:
                continue
            done.add(spec.name)
            of = owners.get(spec.name, list(FAMILIES))
            _add_flag(parser, spec, hints[spec.name], "" if len(of) == len(FAMILIES) else f" Only {', '.join(of)}.")


def add_flags(parser: argparse.ArgumentParser, kind: type[Any], without: Sequence[str] = ()) -> None:
    """Add a flag for every field of one config but those named."""
    hints = get_type_hints(kind)
    for spec in fields(kind):
        if "help" in spec.metadata and spec.name not in without:
            _add_flag(parser, spec, hints[spec.name])


def _add_flag(parser: argparse.ArgumentParser, spec: Any, kind: type, note: str = "") -> None:
    flag, default = "--" + spec.name.replace("_", "-"), spec.default
    help = (spec.metadata["help"] + note + (f" Default {default}." if default != "" else "")).replace("%", "%%")
    if kind is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=help)
    else:
        parser.add_argument(flag, dest=spec.name, default=None, help=help, metavar=kind.__name__.upper())


def _parse_value(text: str, kind: type) -> Any:
    """Turn a flag's text into its field's type; text that does not fit stays text, and the config says the rule."""
    try:
        return kind(text) if kind in (int, float) else text
    except ValueError:
        return text


def options_of(arguments: argparse.Namespace, kinds: Sequence[type]) -> dict[str, Any]:
    """Give the options that were named on the command line, by the fields of `kinds`."""
    given = {}
    for kind in kinds:
        hints = get_type_hints(kind)
        for spec in fields(kind):
            value = getattr(arguments, spec.name, None)
            if value is not None and "help" in spec.metadata:
                given[spec.name] = _parse_value(value, hints[spec.name]) if isinstance(value, str) else value
    return given
