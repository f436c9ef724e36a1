"""One way for train.py and infer.py to start: typed settings, refused early, with the choices listed."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

WRONG_CALL = 2


def start(task: Callable[[Any], int], *, schema: type, config_name: str, config_dir: Path) -> int:
    """Composes the settings with Hydra from the command line and runs the task.

    Args:
        task: Takes an instance of ``schema``; returns the exit code.
        schema: The dataclass that declares what may be set.
        config_name: The file in ``config_dir``, without .yaml; it lists ``<config_name>_schema`` first.
        config_dir: The folder of YAML values.

    Returns:
        The task's exit code; 2 where the call itself was wrong (unknown key, wrong type, unknown choice).
    """
    import hydra
    from hydra.core.config_store import ConfigStore
    from omegaconf import DictConfig, OmegaConf

    wrong = refuse_unknown_keys(sys.argv[1:], schema, config_dir)
    if wrong:
        print(f"{Path(sys.argv[0]).name}: {wrong}", file=sys.stderr)
        return WRONG_CALL
    ConfigStore.instance().store(name=f"{config_name}_schema", node=schema)
    exit_codes: list[int] = []
    started = False

    @hydra.main(version_base="1.3", config_path=str(config_dir), config_name=config_name)
    def run(settings: DictConfig) -> None:
        nonlocal started
        missing = sorted(str(key) for key in OmegaConf.missing_keys(settings))
        if missing:
            needed = " ".join(f"{key}=..." for key in missing)
            print(f"{Path(sys.argv[0]).name}: needs {needed} (see --help)", file=sys.stderr)
            exit_codes.append(WRONG_CALL)
            return
        started = True
        exit_codes.append(task(OmegaConf.to_object(settings)))

    try:
        run()
    except SystemExit as stop:
        if not started and stop.code not in (0, None):
            return WRONG_CALL
        raise
    return max(exit_codes, default=0)


def refuse_unknown_keys(arguments: list[str], schema: type, config_dir: Path) -> str:
    """A sentence on the first argument that sets an unknown key or choice; empty if all are known.

    Config groups (folders of ``config_dir``) and Hydra's own keys are left to Hydra.
    """
    groups = {folder.name for folder in config_dir.iterdir() if folder.is_dir()}
    for argument in arguments:
        if argument.startswith("-") or "=" not in argument:
            continue
        key, _, value = argument.partition("=")
        key = key.lstrip("+~")
        if key.split(".")[0].split("/")[0] in groups | {"hydra"}:
            continue
        known = _keys(schema)
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return f"unknown setting {key!r}{hint} Known settings: {', '.join(sorted(known))}"
        kind = known[key]
        if isinstance(kind, type) and issubclass(kind, Enum) and "," not in value:
            choices = [member.name for member in kind]
            if value not in choices:
                return f"{key}={value}: unknown choice; the choices are {', '.join(choices)}"
    return ""


def _keys(schema: type, prefix: str = "") -> dict[str, Any]:
    hints = get_type_hints(schema)
    found: dict[str, Any] = {}
    for part in fields(schema):
        kind = hints[part.name]
        inner = next((k for k in get_args(kind) if is_dataclass(k)), kind)
        if is_dataclass(inner):
            found[prefix + part.name] = inner
            found |= _keys(inner, prefix + part.name + ".")  # type: ignore[arg-type]
        else:
            found[prefix + part.name] = kind
    return found
