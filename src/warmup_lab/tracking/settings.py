"""wandb's settings: environment variables, `wandb login`, and the file `wandb/settings` of the working directory.

What the command line sets comes first, then wandb's own settings (`WANDB_PROJECT` and the other variables, `wandb
init`, `wandb offline`), then the defaults of this project.

wandb lets `wandb/settings` in the working directory set anything, the server included, which then gets the API key. A
downloaded folder can contain such a file. So only `FOLDER_KEYS` are read from it; others are ignored with a warning.
"""

from __future__ import annotations

import configparser
import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_lab.config import TrackingConfig, require
from warmup_lab.system import reachable
from warmup_lab.tracking.guard import first_line
from warmup_lab.tracking.service import close_connection

if TYPE_CHECKING:
    import wandb


logger = logging.getLogger(__name__)

FOLDER_KEYS = ("entity", "project", "mode")
"""What `wandb/settings` of the working directory may set: what `wandb init`, `wandb offline` and others write."""
_TRUE = ("1", "true", "yes", "on")
_SECRET = ("KEY", "TOKEN", "PASSWORD", "SECRET", "PROXY", "URL", "HEADERS")
"""Parts of the names of variables whose values are not shown."""
_warned: set[tuple[str, ...]] = set()


def is_disabled(config: TrackingConfig, settings: wandb.Settings | None = None) -> bool:
    """Whether the environment turns W&B off and the configuration leaves that open.

    `WANDB_MODE=disabled`, `WANDB_DISABLED=true` (as for transformers), or, with `settings`, the command `wandb
    disabled`.
    """
    if config.mode != "auto":
        return False
    mode = settings.mode if settings else os.environ.get("WANDB_MODE")
    return mode == "disabled" or os.environ.get("WANDB_DISABLED", "").lower() in _TRUE


def load_wandb(config: TrackingConfig, directory: Path) -> wandb.Settings | None:
    """wandb's settings, or None if wandb cannot be used."""
    if not sys.modules.get("wandb"):
        os.environ.pop("WANDB_SERVICE", None)  # inherited from a parent process, whose service ends with it
    os.environ.setdefault("WANDB_SILENT", "true")
    # Tables and artifacts of offline runs; wandb's default is the home folder.
    os.environ.setdefault("WANDB_DATA_DIR", str(parent_folder(directory) / "wandb"))
    if not config.collect:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # otherwise even an offline run sends data at its end
    try:
        # Imported here first: in the threads of the guards, one could see a module that another has half imported.
        return checked_settings()
    except Exception as error:
        problem = _variable_problem() or first_line(error)
        close_connection()  # otherwise wandb continues with what it has read so far
        require(
            config.mode != "online",
            f"tracking.mode=online: wandb cannot be used: {problem}; tracking=none does not need it",
        )
        if (problem,) not in _warned:
            _warned.add((problem,))
            logger.warning("wandb cannot be used (%s), so only the local files are written", problem)
        return None


def parent_folder(directory: Path) -> Path:
    """The parent of the folder `wandb/`: `WANDB_DIR`, or the given one."""
    return Path(os.environ.get("WANDB_DIR") or directory).expanduser().absolute()


def checked_settings() -> wandb.Settings:
    """wandb's settings, without those keys of `wandb/settings` that a working directory may not set."""
    from wandb.sdk import wandb_setup

    settings = wandb_setup.singleton().settings
    path = Path(settings.settings_workspace)
    ignored = {
        key: value for key, value in _keys_of(path).items() if key not in FOLDER_KEYS and key in settings.__dict__
    }
    if ignored:
        trusted = _trusted_settings(settings)
        ignored = {key: value for key, value in ignored.items() if str(trusted[key]) != value}
        for key in ignored:
            setattr(settings, key, trusted[key])
        names = ", ".join(sorted(ignored))
        if names and (str(path), names) not in _warned:
            _warned.add((str(path), names))
            logger.warning(
                "%s sets %s, which is ignored: a working directory may only set entity, project and mode. Set it with "
                "`wandb login` or a variable WANDB_...", path, names,
            )  # fmt: skip
    return settings


def _keys_of(path: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    with contextlib.suppress(OSError, UnicodeDecodeError, configparser.Error):
        parser.read(path, encoding="utf-8")
    return dict(parser["default"]) if parser.has_section("default") else {}


def _trusted_settings(settings: wandb.Settings) -> dict[str, Any]:
    """The settings from the user's own file and from the environment."""
    import wandb

    trusted = wandb.Settings(settings_system=settings.settings_system)
    if settings.settings_system:
        fields = type(trusted).model_fields
        own = {key: value for key, value in _keys_of(Path(settings.settings_system)).items() if key in fields}
        for key, value in own.items():
            with contextlib.suppress(Exception):  # wandb has refused the value too
                setattr(trusted, key, value)
    trusted.update_from_env_vars(dict(os.environ))
    return trusted.__dict__


def _variable_problem() -> str:
    """The environment variable that wandb refuses, and why; empty if it is none of them."""
    try:
        import wandb
    except Exception:
        return ""
    for name in sorted(os.environ):
        if name.startswith("WANDB_"):
            try:
                wandb.Settings().update_from_env_vars({name: os.environ[name]})
            except Exception as error:
                shown = name if any(word in name for word in _SECRET) else f"{name}={os.environ[name]}"
                return f"{shown}: {_reason(error)}"
    return ""


def _reason(error: Exception) -> str:
    """Why a value was refused, in one line. The message of pydantic begins with the name of its class."""
    errors = getattr(error, "errors", None)
    reason = str(errors()[0]["msg"]) if callable(errors) else first_line(error)
    return reason.removeprefix("Value error, ").split("\n")[0]


def local_reason(config: TrackingConfig, settings: wandb.Settings) -> str:
    """Why runs are recorded offline, as far as it is known without asking the server; empty if they can go online."""
    if config.mode == "offline":
        return "tracking.mode=offline"
    if config.mode == "auto" and settings.mode in ("offline", "dryrun"):
        return f"WANDB_MODE={settings.mode}" if os.environ.get("WANDB_MODE") else "`wandb online` would turn it on"
    problem = key_problem(settings)
    require(
        not problem or config.mode == "auto", f"tracking.mode=online: {problem}; tracking.mode=auto does not need a key"
    )
    return problem


def server_reason(settings: wandb.Settings) -> str:
    """Why the server cannot be used; empty if it answers. Takes at most 6 seconds."""
    return "" if reachable(settings.base_url) else f"{settings.base_url} is not reachable"


def key_problem(settings: wandb.Settings) -> str:
    """Why wandb has no usable API key; empty if it has one. Never prompts."""
    from wandb.sdk.lib import wbauth

    try:
        host = wbauth.HostUrl(settings.base_url, app_url=settings.app_url)
        found = wbauth.authenticate_session(host=host, source="warmup-lab", prompt=False, update_session=False)
    except Exception as error:
        return f"the API key cannot be used: {first_line(error)}"
    return "" if found else "there is no API key (`wandb login`, or WANDB_API_KEY)"
