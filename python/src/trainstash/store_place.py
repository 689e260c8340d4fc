"""The place of a project's store on this machine: in the project, unless that is on a network file system, across which the locks of
databases do not hold. The daemon decides by the same rule (``base/store-place.ts``)."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import socket
import tempfile
from typing import Optional

from .file_systems import network_file_system


def store_place(usual: str) -> str:
    """Finds the place for the store whose usual place is given: the usual one, too, where no local folder is known."""
    if network_file_system(usual) is None:
        return usual
    folder = stores_folder()
    return usual if folder is None else os.path.join(folder, _name_of(usual))


def stores_folder() -> Optional[str]:
    """Returns the folder of this machine for stores of projects on network file systems; None: there is none."""
    try:
        with open(_choice_path(), encoding="utf-8") as file:
            chosen = json.load(file).get("folder")
        if isinstance(chosen, str) and os.path.isabs(chosen):
            return chosen
    except (OSError, ValueError, AttributeError):
        pass
    own = _own_state()
    state = own or _default_state()
    if state is None or network_file_system(state) is not None:
        return None
    # With a home on a network the state is where a new start of the machine deletes it: no place for checkpoints.
    temporary = os.path.abspath(tempfile.gettempdir())
    is_passing = own is None and (state + os.sep).startswith(temporary + os.sep)
    return None if is_passing else os.path.join(state, "stores")


def _own_state() -> Optional[str]:
    """Returns a state folder that somebody has named. A client names the usual one to the daemon that it starts, which is none."""
    given = os.environ.get("TRAINSTASH_STATE")
    if not given:
        return None
    path = os.path.abspath(given)
    return None if path == _default_state() else path


def _choice_path() -> str:
    own = _own_state()
    if own is not None:
        return os.path.join(own, "stores-folder.json")
    config = os.environ.get("XDG_CONFIG_HOME", "")
    home = os.path.expanduser("~") if os.name == "nt" else os.environ.get("HOME", os.path.expanduser("~"))
    base = config if os.path.isabs(config) else os.path.join(home, ".config")
    return os.path.join(base, "trainstash", f"stores-{socket.gethostname()}.json")


def _default_state() -> Optional[str]:
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        return None
    if network_file_system(home) is not None:
        return os.path.join(os.path.abspath(tempfile.gettempdir()), f"trainstash-{getpass.getuser()}")
    given = os.environ.get("XDG_STATE_HOME", "")
    base = given if os.path.isabs(given) else os.path.join(home, ".local", "state")
    return os.path.join(base, "trainstash", _machine_id())


def _machine_id() -> str:
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read().strip()
        except OSError:
            continue
        if text:
            return hashlib.sha256(text.encode()).hexdigest()[:12]
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]


def _name_of(usual: str) -> str:
    path = os.path.realpath(usual)
    outer = os.path.dirname(path)
    project = os.path.basename(os.path.dirname(outer) if os.path.basename(outer) == ".git" else outer)
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', project) or 'project'}-{digest}"
