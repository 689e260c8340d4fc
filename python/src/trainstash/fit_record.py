"""The fit of a process that a checkpoint belongs to, and the fates of those before it: the file ``fits.json`` in its folder."""

from __future__ import annotations

import json
import os
from typing import List, NamedTuple, Optional, Tuple

from .session import write_json

#: The fates of a fit in a launch: trained from its beginning, gone on with, or loaded as it was at its end.
FRESH, RESUMED, FINISHED = "fresh", "resumed", "finished"
#: A file in a checkpoint's folder that says which fit it belongs to. Absent: the first one, with nothing before it.
FIT_FILE = "fits.json"
#: A folder in a checkpoint's folder with the last states of the fits before, each in a folder named by its number.
FITS_FOLDER = "fits"


class Finished(NamedTuple):
    """A fit that has come to its end. ``why``: what keeps its last state from being there; None: it is."""

    number: int
    why: Optional[str]


class Record(NamedTuple):
    """A checkpoint's account of the fits: its own one, the run's steps and epochs before that, and those that were finished."""

    number: int
    steps_before: int
    epochs_before: int
    #: Epochs of the run that are done.
    epoch: int
    ended: bool
    finished: List[Finished]
    #: What a resume from here, and each one before it, went without: from there on it is another training.
    detours: List[str]

    def write(self, folder: str) -> None:
        """Writes it into a checkpoint's folder."""
        record = {
            "format": 1,
            "fit": self.number,
            "stepsBefore": self.steps_before,
            "epochsBefore": self.epochs_before,
            "epoch": self.epoch,
            "ended": self.ended,
            "finished": [{"fit": one.number, "why": one.why} for one in self.finished],
            **({"detours": self.detours} if self.detours else {}),
        }
        write_json(os.path.join(folder, FIT_FILE), record)


def read_record(folder: Optional[str]) -> Record:
    """Reads a checkpoint's ``fits.json``."""
    if folder is not None and os.path.exists(os.path.join(folder, FIT_FILE)):
        with open(os.path.join(folder, FIT_FILE), encoding="utf-8") as file:
            known = json.load(file)
        finished = [Finished(int(one["fit"]), one["why"]) for one in known["finished"]]
        number, steps, epochs, epoch = (int(known[name]) for name in ("fit", "stepsBefore", "epochsBefore", "epoch"))
        return Record(number, steps, epochs, epoch, bool(known["ended"]), finished, list(known.get("detours", [])))
    return Record(1, 0, 0, 0, False, [], [])


def fate_of(number: int, record: Record, resume: Optional[str]) -> Tuple[str, Optional[str]]:
    """Decides what becomes of a fit.

    Args:
        number: The fit's.
        record: The record of the checkpoint that the launch goes on from.
        resume: That checkpoint's folder; None: it begins anew.

    Returns:
        One of the three fates, and the folder to load.
    """
    if resume is None or number > record.number:
        return FRESH, None
    if number == record.number:
        return RESUMED, resume
    folder = os.path.join(resume, FITS_FOLDER, str(number))
    return (FINISHED, folder) if os.path.isdir(folder) else (FRESH, None)
