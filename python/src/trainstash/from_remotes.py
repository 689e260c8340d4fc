"""The last checkpoint of a script, from the remotes that were added on this machine, when the machine itself has none. The command line does
it: it knows how remotes are reached, and checks each byte."""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
from typing import Any, Dict, List, Optional

from . import ResumeError
from .session import say

#: Longest time for which a checkpoint may be on its way.
_TIMEOUT_SECONDS = 6 * 3600.0
_WINDOWS_NAME = "trainstash.cmd"


def pull_last(root: str, store: str, job: str, branch: Optional[str]) -> bool:
    """Pulls the last checkpoint of the newest run of that job. Returns True if one came in.

    Raises:
        ResumeError: A remote may have it, and cannot be asked.
    """
    names = _remotes(store)
    if not names:
        return False
    listed = ", ".join(names)
    program = os.environ.get("TRAINSTASH_CLI") or shutil.which(_WINDOWS_NAME if os.name == "nt" else "trainstash")
    if program is None:
        say(
            f"the remote {listed} was not asked for a checkpoint of this script, since `trainstash` is not on the PATH; "
            f"`trainstash pull {names[0]}` takes what is there"
        )
        return False
    words = [program, "pull", "--job", job, *(["--branch", branch] if branch else []), "--json"]
    try:
        done = subprocess.run(words, cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise _unasked(listed, str(error)) from error
    report = _report(done.stdout)
    arrived = report is not None and report.get("checkpoint") is not None
    if report is None or (done.returncode != 0 and not arrived):
        raise _unasked(listed, _failure(report) or _last_line(done.stderr) or f"it ended with {done.returncode}.")
    if report.get("checkpoint") is None:
        asked = report.get("asked")
        unknown = [name for name in names if isinstance(asked, list) and name not in asked]
        if unknown:
            raise _unasked(", ".join(unknown), "its settings on this machine cannot be read.")
        return False
    for problem in report.get("problems") or []:
        say(f"damaged on a remote, and left out: {problem}")
    say(f"the last checkpoint of this script came in from {report.get('remote') or listed}")
    return True


def _remotes(store: str) -> List[str]:
    paths = glob.glob(os.path.join(glob.escape(store), "remotes", "*", "remote.json"))
    return sorted(os.path.basename(os.path.dirname(path)) for path in paths)


def _report(text: str) -> Optional[Dict[str, Any]]:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _failure(report: Optional[Dict[str, Any]]) -> str:
    error = (report or {}).get("error")
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _unasked(names: str, reason: str) -> ResumeError:
    return ResumeError(
        f"The last checkpoint may be on the remote {names}, which cannot be asked: {reason} Nothing was started. Try again, or start "
        'without resume="last", which begins from the beginning.'
    )
