"""Every option of the lab: its default, its limits and its help text, in frozen dataclasses.

The command line and the form in the browser are both generated from these fields, so an option is added here and
nowhere else. A value that breaks a rule raises `ConfigError`, which names the field it is about.
"""

from lab.config.arena import WORLD_STREAMS, ArenaConfig, arena_line, build_arena
from lab.config.brains import CONTROL, DEFAULT, FAMILIES, PRESETS, BrainConfig, Family
from lab.config.minds import MindConfig
from lab.config.options import ConfigError, check_limits, option
from lab.config.runs import (
    RECIPES,
    SECTIONS,
    STARTERS,
    DataConfig,
    RunConfig,
    TrainingConfig,
    build_config,
    changed_options,
    command_line,
    flatten_config,
    option_kinds,
)

__all__ = [
    "CONTROL", "DEFAULT", "FAMILIES", "PRESETS", "RECIPES", "SECTIONS", "STARTERS", "WORLD_STREAMS", "ArenaConfig", "BrainConfig",
    "ConfigError", "DataConfig", "Family", "MindConfig", "RunConfig", "TrainingConfig", "arena_line", "build_arena", "build_config",
    "changed_options", "check_limits", "command_line", "flatten_config", "option", "option_kinds",
]  # fmt: skip
