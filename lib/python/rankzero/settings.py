"""The few settings that a trainer needs, read as lib/config does: code, environment, default.

Below `rankzero run` the environment comes before code for project, key, name and directory.
"""
import os
import re
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from .limits import EXIT_TIMEOUT_MS, OVERFLOW_CAP_BYTES

Env = Mapping[str, str]

TEXT_LENGTH_MAX = 1024
SECONDS_MAX = (2**31 - 1) // 1000
"""What a timer of Node takes: the same value must do for all our programs."""
UNITS = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "k": 2**10, "m": 2**20, "g": 2**30,
    "t": 2**40, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}


class Settings(NamedTuple):
    project: Optional[str]
    name: Optional[str]
    key: Optional[str]
    dir: str
    exit_timeout_ms: int
    overflow_cap: int
    overruled: List[str]
    """What init() was given and the launch says otherwise, in words."""


def read_text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise ValueError("not a text")
    text = raw.strip()
    if text == "":
        raise ValueError("empty")
    if len(text) > TEXT_LENGTH_MAX:
        raise ValueError("longer than %d characters" % TEXT_LENGTH_MAX)
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError("it has control characters")
    return text


def read_path(raw: Any) -> str:
    text = read_text(raw)
    if text == "~" or text.startswith("~/"):
        text = os.path.expanduser(text)
    return os.path.abspath(text)


def read_seconds(raw: Any) -> int:
    """Seconds with an optional fraction, in ms."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)s?", str(raw).strip())
    if match is None or float(match.group(1)) > SECONDS_MAX:
        raise ValueError("not a number of seconds up to %d" % SECONDS_MAX)
    return round(float(match.group(1)) * 1000)


def read_bytes(raw: Any) -> int:
    """`4194304`, `4MiB`, `4M` (both binary) or `4MB` (decimal)."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([a-zA-Z]{0,3})", str(raw).strip())
    unit = UNITS.get(match.group(2).lower()) if match is not None else None
    if match is None or unit is None or float(match.group(1)) * unit >= 2**53:
        raise ValueError("not a size such as 4194304, 4MiB or 4MB")
    return int(float(match.group(1)) * unit)


class _Finder:
    def __init__(self, code: Mapping[str, Any], env: Env, say: Callable[[str], None]) -> None:
        self._code = code
        self._env = env
        self._say = say
        self._launched = bool(env.get("RANKZERO_RUN") or env.get("RANKZERO_MEETING"))
        self.overruled: List[str] = []

    def find(self, name: str, variables: Tuple[str, ...], read: Callable[[Any], Any], form: str) -> Any:
        """The value of the first source that has a usable one, or None."""
        variable = next((each for each in variables if self._env.get(each)), None)
        sources = [("init(%s=)" % name, self._code.get(name))]
        sources.insert(0 if self._launched else 1, (variable or "", self._env.get(variable or "")))
        found: List[Tuple[str, Any]] = []
        for place, raw in sources:
            if raw is None:
                continue
            try:
                found.append((place, read(raw)))
            except ValueError as error:
                self._say("%s is %s: %s; ignored. Give it as %s, or leave it out."
                          % (place, repr(raw)[:200], error, form))
        if len(found) == 2 and self._launched and found[0][1] != found[1][1]:
            places = (name, found[0][1], found[0][0], found[1][1])
            self.overruled.append("%s is '%s' from %s, not '%s'" % places)
        return found[0][1] if found else None


def read_settings(code: Dict[str, Any], env: Env, say: Callable[[str], None]) -> Settings:
    finder = _Finder(code, env, say)
    project = ("RANKZERO_PROJECT", "COMET_PROJECT_NAME", "MLFLOW_EXPERIMENT_NAME")
    exit_timeout = finder.find("exit_timeout", ("RANKZERO_EXIT_TIMEOUT",), read_seconds, "seconds")
    cap = finder.find("overflow_cap", ("RANKZERO_OVERFLOW_CAP",), read_bytes, "bytes")
    return Settings(
        project=finder.find("project", project, read_text, "text"),
        name=finder.find("name", ("RANKZERO_NAME", "COMET_START_EXPERIMENT_NAME"), read_text, "text"),
        key=finder.find("key", ("RANKZERO_KEY", "COMET_EXPERIMENT_KEY"), read_text, "text"),
        dir=finder.find("dir", ("RANKZERO_DIR",), read_path, "a path") or os.path.abspath("rankzero"),
        exit_timeout_ms=EXIT_TIMEOUT_MS if exit_timeout is None else exit_timeout,
        overflow_cap=OVERFLOW_CAP_BYTES if cap is None else cap,
        overruled=finder.overruled,
    )
