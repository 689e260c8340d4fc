"""Fits of one process: numbered, each with its own checkpoints, and carried along once they have come to their end."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
import trainstash.recorder as recorder_module
from trainstash import launching
from trainstash.files import copy_tree, link_tree
from trainstash.fit import Fit, Place
from trainstash.fit_record import FINISHED, FRESH, RESUMED
from trainstash.ingredients import KINDS, Ingredients
from trainstash.recorder import Recorder, recorder_of
from trainstash.wishes import Wishes

EACH_STEP = {"everySteps": 1, "everySeconds": 0, "onBest": False}


def everything() -> Ingredients:
    found = Ingredients()
    for kind in KINDS[:-1]:
        found.kept(kind, kind)
    return found


class Process:
    """One launch of a script that trains a "model", a number that grows by the fit's own number at each step."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, resume: Optional[Path] = None, **launch: Any) -> None:
        self.folder = folder
        (folder / "inbox").mkdir(parents=True)
        facts = json.loads((resume / "checkpoint.json").read_text()) if resume else None
        record: Dict[str, Any] = {"session": folder.name, "checkpoint": EACH_STEP, "stated": ["every"], **launch}
        if resume and facts:
            record["resume"] = {"directory": str(resume), "checkpoint": facts["id"], "step": facts["step"]}
        (folder / "launch.json").write_text(json.dumps(record))
        monkeypatch.setenv("TRAINSTASH_SESSION", str(folder))
        monkeypatch.setattr(recorder_module, "_current", None)
        self.fates: List[str] = []
        self.models: List[int] = []

    def train(self, steps: int, stop_at: Optional[int] = None, per_epoch: int = 2) -> None:
        fit = recorder_of("test").next_fit()
        self.fates.append(fit.fate)
        model, step = self._load(fit) if fit.folder else (0, 0)
        if fit.fate == FINISHED:
            self.models.append(model)
            return
        fit.begin(step, step // per_epoch, steps, per_epoch)
        while step < steps:
            step, model = step + 1, model + fit.number
            fit.log(step, step // per_epoch, {"loss": 1 / step})
            if step == stop_at:
                raise KeyboardInterrupt
            at_end = step % per_epoch == 0
            due = fit.due_at_epoch(step, step // per_epoch) if at_end else fit.due(step)
            if due:
                self._save(fit, Place(step, step // per_epoch, step % per_epoch), due, model)
            if due.leaves:
                fit.leave(step)
        due = fit.finish(step, step // per_epoch)
        self._save(fit, Place(step, step // per_epoch, 0), due, model)
        self.models.append(model)

    def checkpoints(self) -> List[Path]:
        return sorted((self.folder / "inbox").iterdir())

    def facts(self) -> List[Dict[str, Any]]:
        return [json.loads((path / "checkpoint.json").read_text()) for path in self.checkpoints()]

    def events(self, kind: str) -> List[Dict[str, Any]]:
        lines = map(json.loads, (self.folder / "events.ndjson").read_text().splitlines())
        return [event for event in lines if event["type"] == kind]

    def exit(self) -> Dict[str, Any]:
        return dict(json.loads((self.folder / "exit.json").read_text()))

    def _save(self, fit: Fit, place: Place, due: Any, model: int) -> None:
        fit.save_files(place, due, everything(), lambda folder: _write(folder, model, place.step))

    def _load(self, fit: Fit) -> Any:
        known = json.loads(Path(str(fit.folder), "model.json").read_text())
        return known["model"], known["step"]


def _write(folder: str, model: int, step: int) -> None:
    Path(folder, "model.json").write_text(json.dumps({"model": model, "step": step}))


@pytest.mark.parametrize("broken_fit", [1, 2, 3])
@pytest.mark.parametrize("stop_at", [2, 3, 4])
def test_of_several_fits_the_finished_are_loaded_and_the_broken_one_goes_on(tmp_path, monkeypatch, broken_fit, stop_at):
    broken = Process(tmp_path / "broken", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        for number in (1, 2, 3):
            broken.train(4, stop_at if number == broken_fit else None)
    resumed = Process(tmp_path / "resumed", monkeypatch, resume=broken.checkpoints()[-1])
    for _ in range(3):
        resumed.train(4)
    assert resumed.fates == [FINISHED] * (broken_fit - 1) + [RESUMED] + [FRESH] * (3 - broken_fit)
    assert resumed.models == [4, 8, 12]


def test_a_resume_of_a_resume_still_has_what_was_finished_in_the_first_launch(tmp_path, monkeypatch):
    first = Process(tmp_path / "first", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        first.train(4)
        first.train(4, stop_at=3)
    second = Process(tmp_path / "second", monkeypatch, resume=first.checkpoints()[-1])
    with pytest.raises(KeyboardInterrupt):
        second.train(4)
        second.train(4)
        second.train(4, stop_at=2)
    third = Process(tmp_path / "third", monkeypatch, resume=second.checkpoints()[-1])
    for _ in range(3):
        third.train(4)
    assert (third.fates, third.models) == ([FINISHED, FINISHED, RESUMED], [4, 8, 12])


def test_a_fit_that_ended_is_loaded_at_its_end_and_the_next_one_begins_at_its_step(tmp_path, monkeypatch):
    first = Process(tmp_path / "first", monkeypatch)
    first.train(4)
    resumed = Process(tmp_path / "resumed", monkeypatch, resume=first.checkpoints()[-1])
    resumed.train(4)
    resumed.train(4)
    assert (resumed.fates, resumed.models) == ([RESUMED, FRESH], [4, 8])
    assert [event["step"] for event in resumed.events("metrics")] == [5, 6, 7, 8]
    assert resumed.events("started")[0]["step"] == 4


def test_steps_and_epochs_count_on_from_fit_to_fit(tmp_path, monkeypatch):
    process = Process(tmp_path / "one", monkeypatch)
    process.train(4)
    process.train(2)
    assert [event["step"] for event in process.events("metrics")] == [1, 2, 3, 4, 5, 6]
    assert [event["totalSteps"] for event in process.events("started")] == [4]
    assert process.events("plan")[-1]["totalSteps"] == 6
    newest = process.facts()[-1]
    assert (newest["step"], newest["epoch"], newest["grade"]) == (6, 3, "complete")


def test_a_fit_whose_last_state_is_not_there_is_trained_again_and_not_recorded(tmp_path, monkeypatch):
    first = Process(tmp_path / "first", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        first.train(4)
        first.train(4, stop_at=3)
    newest = first.checkpoints()[-1]
    for path in (newest / "fits" / "1").iterdir():
        path.unlink()
    (newest / "fits" / "1").rmdir()
    resumed = Process(tmp_path / "resumed", monkeypatch, resume=newest)
    resumed.train(4)
    assert not (resumed.folder / "events.ndjson").read_text()
    resumed.train(4)
    assert (resumed.fates, resumed.models) == ([FRESH, RESUMED], [4, 8])
    assert [event["step"] for event in resumed.events("metrics")] == [7, 8]


def test_a_replay_keeps_the_state_of_the_asked_step_alone_and_ends(tmp_path, monkeypatch):
    first = Process(tmp_path / "first", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        first.train(8, stop_at=3)
    start = first.checkpoints()[-1]
    for until, epoch in [(5, None), (6, 3)]:
        replay = Process(tmp_path / f"replay-{until}", monkeypatch, resume=start, purpose="verify", untilStep=until, untilEpoch=epoch)
        with pytest.raises(SystemExit):
            replay.train(8)
        assert [facts["step"] for facts in replay.facts()] == [until]
        assert replay.exit()["outcome"] == "completed"


def test_a_pause_of_a_second_fit_is_answered_and_kept(tmp_path, monkeypatch):
    process = Process(tmp_path / "one", monkeypatch, checkpoint={})
    process.train(2)
    (process.folder / "control").write_text(json.dumps({"seq": 1, "pause": True}))
    with pytest.raises(SystemExit):
        process.train(100, per_epoch=100)
    assert process.exit()["outcome"] == "paused"
    assert process.events("answered")
    assert process.facts()[-1]["reasons"] == ["pause"]


def test_a_kind_that_the_adapter_did_not_look_for_makes_a_checkpoint_partial(tmp_path, monkeypatch):
    process = Process(tmp_path / "one", monkeypatch)
    fit = recorder_of("test").next_fit()
    fit.begin(0, 0, None, None)
    found = Ingredients()
    found.kept("weights", "the model")
    fit.save_files(Place(1, 0, 1), fit.due(1), found, lambda folder: _write(folder, 1, 1))
    assert process.facts()[0]["grade"] == "weights only"


def test_files_that_hold_more_than_the_state_come_with_a_sum_of_the_state_alone(tmp_path, monkeypatch):
    process = Process(tmp_path / "one", monkeypatch)
    fit = recorder_of("test").next_fit()
    fit.begin(0, 0, None, None)
    fit.save_files(Place(1, 0, 1), fit.due(1), everything(), lambda folder: _write(folder, 1, 1), lambda folder: "ab" * 32)
    assert process.facts()[0]["sum"] == "ab" * 32


def test_what_write_raises_costs_the_checkpoint_and_not_the_training(tmp_path, monkeypatch):
    process = Process(tmp_path / "one", monkeypatch)
    fit = recorder_of("test").next_fit()
    fit.begin(0, 0, None, None)

    def fail(folder: str) -> None:
        raise OSError("no room")

    fit.save_files(Place(1, 0, 1), fit.due(1), everything(), fail)
    assert process.checkpoints() == []
    assert process.events("notice")[0]["code"] == "checkpointFailed"
    fit.save_files(Place(2, 0, 2), fit.due(2), everything(), lambda folder: _write(folder, 1, 2))
    assert [facts["step"] for facts in process.facts()] == [2]


def test_the_best_validated_value_makes_a_checkpoint_due_and_a_logged_one_does_not(tmp_path, monkeypatch):
    process = Process(tmp_path / "one", monkeypatch, checkpoint={"onBest": True})
    fit = recorder_of("test").next_fit()
    fit.begin(0, 0, None, None, monitor={"metric": "val_loss", "mode": "min"})
    assert process.events("started")[0]["monitor"] == {"metric": "val_loss", "mode": "min"}
    reasons = []
    for step, (value, validated) in enumerate([(3.0, True), (2.0, False), (4.0, True), (1.0, True)], 1):
        fit.log(step, 0, {"val_loss": value}, validated=validated)
        due = fit.due(step)
        reasons.append(due.reasons)
        fit.save_files(Place(step, 0, step), due, everything(), lambda folder: _write(folder, 1, 1)) if due else None
    assert reasons == [["best"], [], [], ["best"]]


def test_a_process_that_a_recorded_training_has_started_records_nothing(tmp_path, monkeypatch):
    process = Process(tmp_path / "one", monkeypatch)
    monkeypatch.setenv("TRAINSTASH_OWNER", str(os.getpid() + 1))
    process.train(2)
    assert process.checkpoints() == [] and not (process.folder / "events.ndjson").exists()


def test_a_fit_beside_init_is_not_recorded_and_says_so(tmp_path, monkeypatch, capsys):
    process = Process(tmp_path / "one", monkeypatch)
    monkeypatch.setattr(launching, "_current", object())
    process.train(2)
    assert process.checkpoints() == []
    assert "one process records one training" in capsys.readouterr().err


def test_what_the_script_wishes_counts_where_the_job_says_nothing(tmp_path, monkeypatch):
    Process(tmp_path / "one", monkeypatch, stated=[])
    assert Recorder("test", Wishes(every="3 steps")).launch["checkpoint"]["everySteps"] == 3
    Process(tmp_path / "two", monkeypatch)
    assert Recorder("test", Wishes(every="3 steps")).launch["checkpoint"]["everySteps"] == 1
    with pytest.raises(ValueError, match="no time between checkpoints"):
        recorder_of("test", Wishes(every="often"))


def test_a_run_by_hand_keeps_its_newest_checkpoints_and_the_best(tmp_path, monkeypatch):
    process = Process(tmp_path / "one", monkeypatch, monitor={"metric": "loss", "mode": "max"})
    process.train(12)
    assert [facts["step"] for facts in process.facts()] == [1, 11, 12, 12]


def test_a_copied_file_stays_what_it_was_when_the_framework_writes_into_its_own(tmp_path):
    source = tmp_path / "checkpoint-1"
    (source / "inside").mkdir(parents=True)
    (source / "inside" / "optimizer.pt").write_text("old")
    copy_tree(str(source), str(tmp_path / "copied"))
    link_tree(str(source), str(tmp_path / "linked"))
    with open(source / "inside" / "optimizer.pt", "r+") as file:
        file.write("new")
    assert (tmp_path / "copied" / "inside" / "optimizer.pt").read_text() == "old"
    assert (tmp_path / "linked" / "inside" / "optimizer.pt").read_text() == "new"
