"""One fit of a process: where it begins, when a checkpoint of it is due, and what is written then."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, NamedTuple, Optional

from .checkpoints import Owner
from .distributed import order_of_sums
from .files import link_tree, listed
from .fit_due import NONE, Decisions
from .fit_due import Due as Due
from .fit_record import FINISHED as FINISHED
from .fit_record import FIT_FILE, FITS_FOLDER, Finished, Record, fate_of
from .fit_record import FRESH as FRESH
from .fit_record import RESUMED as RESUMED
from .ingredients import LOST, Ingredients, sentence
from .media import Media
from .numbers import as_number, is_better, plain_metrics
from .session import CHECKPOINT_FILE, STATE_FILE, say

if TYPE_CHECKING:
    from .recorder import Recorder

# Seconds for which a training waits at its end for a disk that has no room for its last state.
_PATIENCE = 600.0


class Place(NamedTuple):
    """The place of a fit, in its own counts: a new one begins at 0. ``batch``: batches of the epoch that are used up; 0 between epochs."""

    step: int
    epoch: int
    batch: int


class Fit:
    """A fit, made by ``Recorder.next_fit``. On other ranks than 0 it decides and writes nothing, and takes part in what is shared."""

    def __init__(self, recorder: Recorder, number: int) -> None:
        self._recorder = recorder
        self.number = number
        record = recorder.record
        self.fate, self.folder = fate_of(number, record, recorder.resume)
        #: The checkpoint is of this fit's end.
        self.ended = self.fate == RESUMED and record.ended
        #: A fit that was finished before, of which no state is there: it is trained again, and nothing of it is recorded.
        self.is_repeat = self.fate == FRESH and recorder.resume is not None and number < record.number
        self.is_replay = recorder.is_replay
        #: The parts that no checkpoint of this fit has, whatever else it has.
        self.lost = Ingredients()
        self._detours = record.detours if self.fate == RESUMED else []
        self._steps_before, self._epochs_before = record.steps_before, record.epochs_before
        self._has_ended = False
        self._decisions = Decisions(recorder)
        self._best: Optional[float] = None
        self._told: List[str] = []
        # Made with the first values: the session is known then.
        self._media: Optional[Media] = None

    @property
    def records(self) -> bool:
        """Tells whether checkpoints of this fit are kept: not on other ranks than 0."""
        return self._recorder.session is not None and self.fate != FINISHED and not self.is_repeat

    @property
    def is_writing(self) -> bool:
        """Tells whether the newest checkpoint is still being written."""
        checkpoints = self._recorder.checkpoints
        return checkpoints is not None and checkpoints.in_flight

    def begin(
        self,
        step: int,
        epoch: int,
        total: Optional[int],
        per_epoch: Optional[int],
        params: Optional[Mapping[str, Any]] = None,
        monitor: Optional[Mapping[str, str]] = None,
    ) -> None:
        """Begins to train, or to go on. Every rank comes here, when processes and devices are set up.

        Args:
            step: Optimizer steps of this fit that are done.
            epoch: Epochs of this fit that are done.
            total: Optimizer steps of this fit when it is done, if that is known.
            per_epoch: Optimizer steps of an epoch, if that is known.
            params: Hyper-parameters; those of the launch win.
            monitor: ``{"metric", "mode"}`` of the framework's own, for a job that names none.
        """
        recorder = self._recorder
        recorder.begin(params or {}, monitor, self._steps_before + step)
        for text in self._detours:
            self.lose("other", text, "")
        if self.fate == FRESH:
            # Some trainers count on from fit to fit, others begin again at 0.
            self._steps_before, self._epochs_before = recorder.step - step, recorder.epoch - epoch
        recorder.step, recorder.epoch = self._steps_before + step, self._epochs_before + epoch
        recorder.group.start_at(recorder.step)
        self.plan(total, per_epoch)

    def plan(self, total: Optional[int], per_epoch: Optional[int]) -> None:
        """Tells how long the fit will be, once that is known better than at ``begin``."""
        if self.records:
            self._recorder.say_plan(None if total is None else self._steps_before + total, per_epoch)

    def tell(self, code: str, text: str) -> None:
        """Tells something that lowers no grade, once."""
        session = self._recorder.session
        if self.records and session is not None and code not in self._told:
            self._told.append(code)
            session.notice(code, "warning", text, self._recorder.step)

    def log(self, step: int, epoch: int, metrics: Mapping[str, Any], validated: bool = False) -> None:
        """Records metrics at the step that they belong to.

        Args:
            step: The fit's own step.
            epoch: The fit's own epoch.
            metrics: Numbers by name; others are left out.
            validated: They judge the weights as they are now: the best of them makes a checkpoint due.
        """
        recorder = self._recorder
        at = self._steps_before + step
        if self._media is None:
            self._media = Media(recorder.session if self.records and not self.is_replay else None)
        numbers = {name: as_number(value) for name, value in metrics.items() if not self._media.take(at, name, value)}
        values = {name: number for name, number in numbers.items() if number is not None}
        if not values or not self.records or recorder.session is None:
            return
        recorder.metrics.update(values)
        recorder.session.event("metrics", step=at, epoch=self._epochs_before + epoch, values=plain_metrics(values))
        recorder.watch.look(recorder.session, at, values)
        monitor = recorder.launch.get("monitor")
        value = values.get(monitor["metric"]) if monitor and validated else None
        if monitor and value is not None and is_better(monitor, value, self._best):
            self._best = value
            self._decisions.best_is_due = recorder.policy.on_best

    def due(self, step: int) -> Due:
        """Decides at a boundary inside of an epoch, on rank 0 for all."""
        recorder = self._recorder
        at = recorder.step = self._steps_before + step
        if recorder.group.several and not recorder.group.may_decide(at):
            return NONE
        return self._decide(at, recorder.policy.due(at), None)

    def due_at_epoch(self, step: int, epochs_done: int) -> Due:
        """Decides at an epoch's end, when all that belongs to the epoch is done: for what is due by steps, too."""
        recorder = self._recorder
        at = recorder.step = self._steps_before + step
        epochs = recorder.epoch = self._epochs_before + epochs_done
        return self._decide(at, [*recorder.policy.due(at), *recorder.policy.due_at_epoch(epochs)], epochs)

    def terminated(self, step: int, signal: str) -> Due:
        """Notes that the process was asked to end by a signal, at a boundary. The checkpoint that follows ends it as a pause does."""
        self._recorder.step = self._steps_before + step
        return self._decisions.obey(signal)

    def save_files(
        self,
        place: Place,
        due: Due,
        found: Ingredients,
        write: Callable[[str], None],
        sum_of: Optional[Callable[[str], str]] = None,
    ) -> None:
        """Takes a checkpoint of files that the framework writes. Only rank 0 comes here with something to do.

        Args:
            place: The place of the fit.
            due: Why.
            found: The findings about each part; a kind that nobody looked for counts as lost.
            write: Puts the files into the folder that it is given: written there, or copied with ``files.copy_tree``.
            sum_of: Makes the text that equal states have in common of that folder, where its files also hold run times or ids.
        """
        if not self._keeps(due):
            return
        facts = self._facts(place, due, found)
        beside = self._beside(place, found)

        def fill(folder: str) -> List[Dict[str, Any]]:
            write(folder)
            return beside(folder)

        began = time.perf_counter()
        checkpoints = self._recorder.checkpoints
        assert checkpoints is not None
        checkpoints.hand_over(facts, fill, _PATIENCE if self._has_ended else 0.0, sum_of)
        self._saved(time.perf_counter() - began)

    def save_state(
        self,
        place: Place,
        due: Due,
        found: Ingredients,
        live: Mapping[str, Any],
        owner: Optional[Owner] = None,
        sum_of: Optional[Callable[[Any], str]] = None,
    ) -> None:
        """Takes a checkpoint of tensors and plain values: copies them now, and writes the copy beside the training.

        Args:
            place: The same as for ``save_files``, like ``due``, ``found`` and ``sum_of``.
            live: The content of ``state.pt``.
            owner: Knows which kind of ingredient a place in it is.
        """
        if not self._keeps(due):
            return
        checkpoints = self._recorder.checkpoints
        assert checkpoints is not None
        began = time.perf_counter()
        beside = self._beside(place, found)
        try:
            staged = checkpoints.copy(live)
            stall = time.perf_counter() - began
            checkpoints.save(
                staged,
                self._facts(place, due, found),
                wait=due.leaves or self._has_ended,
                patience=_PATIENCE if self._has_ended else 0.0,
                beside=lambda folder: [entry for entry in beside(folder) if entry["name"] != STATE_FILE],
                owner=owner,
                sum_of=sum_of,
            )
        except Exception as error:
            self.fail(place.step, error)
            return
        self._saved(stall)

    def fail(self, step: int, error: BaseException) -> None:
        """Says that a checkpoint could not be taken. The training goes on."""
        recorder = self._recorder
        recorder.policy.taken(recorder.step, 0)
        if recorder.session is not None:
            text = f"No checkpoint could be taken at step {self._steps_before + step} ({error}). Training goes on; earlier ones are untouched."
            recorder.session.notice("checkpointFailed", "error", text, self._steps_before + step)

    def lose(self, kind: str, name: str, why: str) -> None:
        """Notes a part that no checkpoint of this fit will have, and says it once."""
        if self.lost.lost(kind, name, why) and self.records and self._recorder.session is not None:
            about = f"{name} ({why})" if why else name
            self._recorder.session.notice("partial", "warning", f"Not complete: {about}.", self._recorder.step)

    def finish(self, step: int, epoch: int) -> Due:
        """Notes that the fit was trained to its end. The checkpoint that follows is what later launches load of it.

        Returns:
            What that checkpoint is due for.
        """
        recorder = self._recorder
        recorder.step, recorder.epoch = self._steps_before + step, self._epochs_before + epoch
        self._has_ended = True
        return Due(self.fate != FINISHED and not self.is_repeat, self._decisions.has_reached(recorder.epoch), ["end"])

    def stays_finished(self) -> None:
        """Notes that a fit that had come to its end (``ended``) was loaded and not trained on: later checkpoints carry it along."""
        if self.records and self.folder is not None:
            self._keep_end(self.folder)

    def leave(self, step: int) -> None:
        """Ends the process after a pause or a stop that was asked for, or a replay. All ranks come here. When the checkpoint of a
        pause could not be kept, the training goes on: to leave would lose work.

        Raises:
            SystemExit: Nearly always. In a notebook KeyboardInterrupt.
        """
        recorder = self._recorder
        recorder.step = self._steps_before + step
        request = self._decisions.answer()
        stops = bool(request and request.get("stop"))
        failed = recorder.checkpoints is not None and recorder.checkpoints.failed
        if recorder.group.share(failed and not self.is_replay and not stops and not self._decisions.signal):
            recorder.watch.pause = recorder.watch.trouble = None
            if request is not None:
                say("the pause was not carried out, since its checkpoint could not be kept; the training goes on")
            return
        if self.is_replay:
            recorder.leave("completed")
        signal = self._decisions.signal
        why = f"after {signal}" if signal else recorder.watch.pause or ""
        trouble = recorder.watch.trouble if request is None and not signal else None
        recorder.leave("stopped" if stops and not signal else "paused", why, trouble)

    # ---- inside ----

    def _decide(self, step: int, due: List[str], epochs: Optional[int]) -> Due:
        return self._decisions.decide(step, due, epochs, self.records, self.is_writing)

    def _keeps(self, due: Due) -> bool:
        if not self.records or self._recorder.checkpoints is None:
            return False
        return not self.is_replay or due.leaves

    def _facts(self, place: Place, due: Due, found: Ingredients) -> Dict[str, Any]:
        found.add(self.lost)
        for lost in order_of_sums():
            found.lost(*lost)
        for one in self._recorder.finished:
            if one.why is not None:
                found.lost("other", f"the end of fit {one.number}", one.why)
        return {
            "step": self._steps_before + place.step,
            "epoch": self._epochs_before + place.epoch,
            "batch": place.batch,
            "reasons": [*due.reasons] or ["file"],
            "ingredients": found,
            "metrics": plain_metrics(self._recorder.metrics),
            "data": None,
        }

    def _detours_from(self, place: Place, found: Ingredients) -> List[str]:
        """Lists the resumes that went without something, with one from this checkpoint."""
        without = [sentence(record) for record in found.records() if record["state"] == LOST and record["name"] not in self._detours]
        step = self._steps_before + place.step
        return [*self._detours, f"the resume from step {step:,} went without {'; '.join(without)}"] if without else self._detours

    def _beside(self, place: Place, found: Ingredients) -> Callable[[str], List[Dict[str, Any]]]:
        """Makes what adds to a checkpoint's folder what is known of the fits, and keeps the last state of one that has ended."""
        recorder, session, ended = self._recorder, self._recorder.session, self._has_ended
        assert session is not None
        earlier = [one for one in recorder.finished if one.number != self.number]

        def add(folder: str) -> List[Dict[str, Any]]:
            if ended:
                self._keep_end(folder)
            detours = self._detours_from(place, found)
            if earlier or self.number > 1 or ended or detours:
                epoch = self._epochs_before + place.epoch
                Record(self.number, self._steps_before, self._epochs_before, epoch, ended, earlier, detours).write(folder)
            for one in earlier:
                source = os.path.join(session.file(FITS_FOLDER), str(one.number))
                if os.path.isdir(source):
                    link_tree(source, os.path.join(folder, FITS_FOLDER, str(one.number)))
            return listed(folder)

        return add

    def _keep_end(self, folder: str) -> None:
        recorder = self._recorder
        assert recorder.session is not None
        why: Optional[str] = None
        try:
            link_tree(folder, os.path.join(recorder.session.file(FITS_FOLDER), str(self.number)), (FIT_FILE, FITS_FOLDER, CHECKPOINT_FILE))
        except OSError as error:
            why = f"it could not be kept ({error})"
        recorder.finished = [*(one for one in recorder.finished if one.number != self.number), Finished(self.number, why)]

    def _saved(self, stall: float) -> None:
        recorder = self._recorder
        recorder.policy.taken(recorder.step, stall)
        self._decisions.saved()
