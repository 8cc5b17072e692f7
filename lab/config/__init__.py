"""Every option of the lab: its default, its limits and its help text, in frozen dataclasses.

The command line and the form in the browser are both generated from these fields, so an option is added here and
nowhere else. A value that breaks a rule raises `ConfigError`, which names the field it is about.
"""

from lab.config.arena import WORLD_STREAMS, ArenaConfig, arena_line, build_arena
from lab.config.minds import MindConfig
from lab.config.options import ConfigError, check_limits, option
from lab.config.runs import (
    BRAINS,
    PRESETS,
    RECIPES,
    SECTIONS,
    STARTERS,
    BaselineConfig,
    BrainConfig,
    DataConfig,
    QORConfig,
    RunConfig,
    TrainingConfig,
    build_config,
    changed_options,
    command_line,
    flatten_config,
)

__all__ = [
    "BRAINS", "PRESETS", "RECIPES", "SECTIONS", "STARTERS", "WORLD_STREAMS", "ArenaConfig", "BaselineConfig", "BrainConfig", "ConfigError",
    "DataConfig", "MindConfig", "QORConfig", "RunConfig", "TrainingConfig", "arena_line", "build_arena", "build_config",
    "changed_options", "check_limits", "command_line", "flatten_config", "option",
]  # fmt: skip
