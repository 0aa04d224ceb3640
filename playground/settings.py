"""Settings, config files and the environment: where options come from besides the command line.

In order of precedence: a typed flag, the environment (``SFT_PLAYGROUND_LEARNING_RATE``), a config file,
``settings.toml``, the default.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from playground import paths
from playground.config import TrainConfig, read_options
from playground.errors import EnvironmentFault, InputError, UsageError

PREFIX = "SFT_PLAYGROUND_"
DEVICE = PREFIX + "DEVICE"  # what --device sets, for this process and its children
DEVICES = "Name auto, cpu, cuda, or one of several as in cuda:1."
_DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,3})?")


def device() -> str:
    """Return the device that was asked for: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        UsageError: If it is none of these, or the settings file cannot be read.
    """
    wanted = os.environ.get(DEVICE) or _own_settings().get("device", "auto")
    if not isinstance(wanted, str) or not _DEVICE.fullmatch(wanted):
        raise UsageError(f"There is no device {wanted!r}.", DEVICES)
    return wanted


def options(typed: Mapping[str, Any], config_file: Path | None) -> dict[str, Any]:
    """Return the options of a training run, from all sources.

    Args:
        typed: What the user typed; takes precedence over everything.
        config_file: A YAML or TOML file, or None.

    Raises:
        UsageError: For an unknown key or a value of the wrong type, naming the source.
        InputError: If a file cannot be parsed.
    """
    found: dict[str, Any] = {}
    own = {name: value for name, value in _own_settings().items() if name != "device"}
    found |= read_options(own, str(paths.settings_file()))
    if config_file is not None:
        found |= read_options(_parse(config_file), str(config_file))
    names = {PREFIX + f.name.upper(): f.name for f in fields(TrainConfig)}
    given = {name: os.environ[key] for key, name in names.items() if key in os.environ}
    return found | read_options(given, "the environment") | dict(typed)


def _own_settings() -> dict[str, Any]:
    path = paths.settings_file()
    return _parse(path) if path.is_file() else {}


def _parse(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise InputError(f"There is no file {str(path)!r}.", "Check the name.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8.", "Save it as UTF-8.") from None
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from None
    match path.suffix.lower():
        case ".toml":
            try:
                values: Any = tomllib.loads(text)
            except tomllib.TOMLDecodeError as error:
                raise InputError(f"{path} is not valid TOML: {error}.", "Write it like: lora_r = 8") from None
        case ".yaml" | ".yml":
            import yaml

            try:
                values = yaml.safe_load(text) or {}
            except yaml.YAMLError as error:
                first = str(error).replace("\n", " ")
                raise InputError(f"{path} is not valid YAML: {first}.", "Write it like: lora_r: 8") from None
        case _:
            raise UsageError(f"{path} is neither YAML nor TOML.", "Name it FILE.yaml or FILE.toml.")
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InputError(f"{path} has no options.", "Write one option per line, like lora_r: 8.")
    return values
