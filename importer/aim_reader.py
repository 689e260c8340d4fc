"""Reads a copy of Aim's store with Aim itself, since only that knows its format.

`aim_reader.py list STORE OUT` writes a line for each run, `aim_reader.py read STORE OUT HASH…` the points of these runs to
`OUT/HASH.ndjson`. The store is the folder that has `.aim`. It is a copy, since Aim writes to what it reads. The exit code is 3 without Aim.
"""

import json
import os
import sys

POINTS_OF_A_LINE = 10_000
SYSTEM = "__system__"


def main(what, store, out, *hashes):
    try:
        import aim
    except ImportError:
        sys.exit(3)
    repo = aim.Repo(store)
    if what == "list":
        with open(out, "w") as file:
            for name in sorted(repo.list_all_runs()):
                write(file, described(repo, name))
        return
    for name in hashes:
        with open(os.path.join(out, f"{name}.ndjson"), "w") as file:
            for line in points(aim, repo, name):
                write(file, line)


def write(file, value):
    file.write(json.dumps(value, default=str) + "\n")


def described(repo, name):
    try:
        tree = repo.request_tree("meta", name, read_only=False).subtree("meta").subtree("chunks").subtree(name).collect()
        about = repo.structured_db.find_run(name)
    except Exception as error:
        return {"hash": name, "problem": f"{type(error).__name__}: {error}"}
    params = dict(tree.get("attrs") or {})
    # Facts about the machine, which Aim adds by itself.
    params.pop("__system_params", None)
    # Its documentation puts all of them under this name.
    own = params.pop("hparams", {})
    params = {**own, **params} if isinstance(own, dict) else {"hparams": own, **params}
    return {
        "hash": name,
        "name": (about and about.name) or name,
        "experiment": (about and about.experiment) or "",
        "note": (about and about.description) or "",
        "startedAt": about and about.creation_time,
        "endedAt": tree.get("end_time"),
        "params": params,
    }


def points(aim, repo, name):
    # All three would be added to the run as its own.
    quiet = {"system_tracking_interval": None, "capture_terminal_logs": False, "log_system_params": False}
    for metric in aim.Run(name, repo=repo, **quiet).metrics():
        if metric.name.startswith(SYSTEM):
            continue
        line = []
        for step, (value, epoch, time) in metric.data.items():
            # NaN and infinities are not JSON.
            line.append([int(step), repr(float(value)), number(epoch), number(time)])
            if len(line) == POINTS_OF_A_LINE:
                yield {"name": named(metric), "points": line}
                line = []
        if line:
            yield {"name": named(metric), "points": line}


def named(metric):
    context = metric.context.to_dict()
    if list(context) == ["subset"]:
        return f"{context['subset']}/{metric.name}"
    rest = ", ".join(f"{key}={context[key]}" for key in sorted(context))
    return f"{metric.name} ({rest})" if rest else metric.name


def number(value):
    return value if isinstance(value, (int, float)) and value == value and abs(value) != float("inf") else None


main(*sys.argv[1:])
