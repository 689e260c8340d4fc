"""A killed and resumed training is the same to the bit as one left alone; where it cannot be, the checkpoint says what it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

import pytest
from pairs import NEVER, Launcher, each_steps
from sampling import full, mostly_full
from trials import Trial, differences, final

EPOCH_EVALUATED = {"args": {"eval_strategy": "epoch"}}


@pytest.mark.parametrize("step", [18, pytest.param(8, marks=full), pytest.param(29, marks=full)])
def test_from_inside_an_epoch(launcher: Launcher, tmp_path: Path, step: int) -> None:
    Trial(launcher, tmp_path, {}).expect_exact(step)


def test_an_evaluation_before_the_training_belongs_to_none(launcher: Launcher, tmp_path: Path) -> None:
    Trial(launcher, tmp_path, {"evaluates first": True}).expect_exact(8)


RANDOM: Dict[str, Dict[str, Any]] = {
    "items that draw from everything": {"data": "noisy"},
    "items, made by workers": {"data": "noisy", "args": {"dataloader_num_workers": 2}},
    "a collator that draws": {"collate": "masked"},
    "a collator with a generator of its own": {"collate": "seeded", "args": {"gradient_accumulation_steps": 3}},
    "a collator, in workers that live on": {"collate": "seeded", "args": {"dataloader_num_workers": 2, "dataloader_persistent_workers": True}},
    "a collator with a generator of its own, in evaluations too": {"collate": "seeded", "args": {"eval_strategy": "steps", "eval_steps": 4}},
    "the collator of Transformers, in workers": {"collate": "transformers", "args": {"dataloader_num_workers": 2}},
    "a model with a generator, and what is no tensor": {"model": "drawing"},
    "an order that draws from the global numbers": {"args": {"train_sampling_strategy": "group_by_length"}},
}
DEFAULT = ("items that draw from everything", "a model with a generator, and what is no tensor", "the collator of Transformers, in workers", "a collator with a generator of its own")


@pytest.mark.parametrize("name", mostly_full(list(RANDOM), DEFAULT, 2))
def test_what_is_random_in_making_a_batch_is_the_same_again(launcher: Launcher, tmp_path: Path, name: str) -> None:
    how = RANDOM[name]
    accumulated = how.get("args", {}).get("gradient_accumulation_steps", 1)
    Trial(launcher, tmp_path, how, each_steps(2 if accumulated > 1 else 5)).expect_exact(11 if accumulated > 1 else 18)


@pytest.mark.parametrize("how", [{"data": "stream"}, {"args": {"ignore_data_skip": True}}, {"data": "counting"}], ids=["stream", "no skip", "counting"])
def test_data_whose_place_cannot_be_kept_is_named(launcher: Launcher, tmp_path: Path, how: Dict[str, Any]) -> None:
    how = {**how, "args": {**how.get("args", {}), "max_steps": 12}}
    names = {"stream": "read as a stream", "counting": "Counting.reads"}.get(str(how.get("data")), "ignore_data_skip")
    killed = Trial(launcher, tmp_path, how).killed(8)
    assert killed.newest().grade == "partial"
    assert names in killed.newest().missing


@pytest.mark.parametrize("step", [21, pytest.param(11, marks=full), pytest.param(20, marks=full)])
def test_the_end_of_an_epoch_is_kept_with_its_evaluation(launcher: Launcher, tmp_path: Path, step: int) -> None:
    how = {"args": {"eval_strategy": "epoch", "eval_accumulation_steps": 1}, "callbacks": ["tally"]}
    how["args"]["eval_on_start"] = True
    resumed = Trial(launcher, tmp_path, how, each_steps(10)).expect_exact(step)
    assert sum("eval_loss" in entry for entry in final(resumed)[0]["history"]) == 4


@full
@pytest.mark.parametrize("name", ["linear", "cosine", "reduce_lr_on_plateau", "constant_with_warmup"])
def test_schedules(launcher: Launcher, tmp_path: Path, name: str) -> None:
    how = {"args": {"lr_scheduler_type": name, "warmup_steps": 3, "eval_strategy": "steps", "eval_steps": 4, "metric_for_best_model": "eval_loss"}}
    Trial(launcher, tmp_path, how, each_steps(4)).expect_exact(22)


def test_what_callbacks_and_a_trainer_count_goes_on(launcher: Launcher, tmp_path: Path) -> None:
    how = {
        "trainer": "counts", "callbacks": ["tally", "patience"],
        "args": {"eval_strategy": "steps", "eval_steps": 4, "load_best_model_at_end": True, "save_strategy": "steps", "save_steps": 8, "logging_steps": 3},
    }  # fmt: skip
    Trial(launcher, tmp_path, how).expect_exact(18)


def test_a_callback_that_holds_what_cannot_be_kept_is_named(launcher: Launcher, tmp_path: Path) -> None:
    killed = Trial(launcher, tmp_path, {"callbacks": ["unkept"], "args": {"max_steps": 12}}).killed(8)
    assert killed.newest().grade == "partial"
    assert "Unkept#0.order" in killed.newest().missing


@pytest.mark.parametrize("trainer", ["saves little", pytest.param("saves its own", marks=full)])
def test_a_trainer_that_saves_less_than_a_resume_needs_is_kept_whole(launcher: Launcher, tmp_path: Path, trainer: str) -> None:
    how = {"trainer": trainer, "args": {"save_only_model": True, "save_strategy": "steps", "save_steps": 4, "save_total_limit": 1}}
    Trial(launcher, tmp_path, how).expect_exact(18)


def test_an_epoch_that_a_callback_leaves_early_is_not_taken_for_a_whole_one(launcher: Launcher, tmp_path: Path) -> None:
    resumed = Trial(launcher, tmp_path, {"callbacks": ["stops epoch"]}).expect_exact(14)
    # Its three epochs are over then, and not its thirty steps.
    assert (resumed.newest().facts["step"], resumed.newest().facts["reasons"]) == (21, ["end"])


@pytest.mark.parametrize("save", ["best", pytest.param("no", marks=full)])
def test_a_pause_keeps_the_step_that_it_leaves_at(launcher: Launcher, tmp_path: Path, save: str) -> None:
    how = {"callbacks": ["deciding"], "args": {"eval_strategy": "steps", "eval_steps": 5, "save_strategy": save, "metric_for_best_model": "eval_loss"}}
    trial = Trial(launcher, tmp_path, how, NEVER)
    whole, paused = trial.whole(), trial.launch(PAUSE=17)
    assert paused.exit() is not None and paused.exit()["outcome"] == "paused"  # type: ignore[index]
    assert paused.newest().facts["step"] == paused.exit()["step"] == 17  # type: ignore[index]
    assert differences(whole, trial.resumed(paused.newest())) == []


def test_the_script_asks_for_the_newest_folder_and_gets_the_checkpoint(launcher: Launcher, tmp_path: Path) -> None:
    how = {"train": {"resume_from_checkpoint": True}, "args": {"save_strategy": "steps", "save_steps": 5, "max_steps": 22}}
    trial = Trial(launcher, tmp_path, {**how, "train": {}})
    whole, killed = trial.whole(), trial.killed(18)
    second = Trial(launcher, tmp_path, how)
    assert differences(whole, second.resumed(killed.checkpoints()[1])) == []


@pytest.mark.sample
@pytest.mark.parametrize("is_gone", [True, False])
def test_the_best_model_is_put_back(launcher: Launcher, tmp_path: Path, is_gone: bool) -> None:
    how = {
        "output is gone": is_gone,
        "args": {"eval_strategy": "steps", "eval_steps": 4, "save_strategy": "steps", "save_steps": 4, "load_best_model_at_end": True,
                 "save_total_limit": 1, "learning_rate": 0.1, "num_train_epochs": 2},
    }  # fmt: skip
    Trial(launcher, tmp_path, how).expect_exact(18)


def test_checkpoints_of_an_earlier_run_with_the_same_output_folder_stay_as_they_were(launcher: Launcher, tmp_path: Path) -> None:
    how = {"args": {"save_strategy": "steps", "save_steps": 5, "max_steps": 11}}
    first = Trial(launcher, tmp_path, how).launch()
    before = {path: path.read_bytes() for path in first.folder.rglob("*.*") if "inbox" in path.parts}
    second = Trial(launcher, tmp_path, {"args": {**how["args"], "learning_rate": 0.5}}).launch()
    assert second.code == 0
    assert {path: path.read_bytes() for path in before} == before


@full
@pytest.mark.parametrize("step", [2, 3, 5])
def test_accumulated_gradients(launcher: Launcher, tmp_path: Path, step: int) -> None:
    Trial(launcher, tmp_path, {"args": {"gradient_accumulation_steps": 5}, "data": "noisy"}, each_steps(1)).expect_exact(step)


@pytest.mark.parametrize("lora", [{}, pytest.param({"modules_to_save": ["classifier"]}, marks=full)])
def test_an_adapter_with_weights_that_are_trained_beside_it(launcher: Launcher, tmp_path: Path, lora: Dict[str, Any]) -> None:
    Trial(launcher, tmp_path, {"lora": lora, "beside": True}).expect_exact(18)


def test_run_times_are_no_metrics_and_the_best_is_what_the_script_says(launcher: Launcher, tmp_path: Path) -> None:
    how = {"args": {"eval_strategy": "epoch", "metric_for_best_model": "loss", "num_train_epochs": 1}}
    ended = Trial(launcher, tmp_path, how).launch()
    logged = {name for event in ended.events("metrics") for name in event["values"]}
    assert logged == {"loss", "grad_norm", "learning_rate", "eval_loss", "train_loss"}
    assert ended.events("started")[0]["monitor"] == {"metric": "eval_loss", "mode": "min"}


def test_a_replay_ends_where_it_is_to_end_with_the_same_sum(launcher: Launcher, tmp_path: Path) -> None:
    trial = Trial(launcher, tmp_path, {**EPOCH_EVALUATED, "data": "noisy", "callbacks": ["tally"]}, each_steps(5))
    first, second, third = trial.launch().checkpoints()[:3]
    for before, after in ((first, second), (second, third)):
        facts = after.facts
        until = {"purpose": "verify", "untilStep": facts["step"], "untilEpoch": facts["epoch"] if facts["batch"] == 0 else None, "checkpoint": NEVER}
        replayed = trial.launch(resume=before, launch=until)
        assert replayed.exit() == {**(replayed.exit() or {}), "outcome": "completed", "step": facts["step"]}
        assert [one.facts["sum"] for one in replayed.checkpoints()] == [facts["sum"]]


def test_a_finished_run_that_is_resumed_trains_no_step_more(launcher: Launcher, tmp_path: Path) -> None:
    trial = Trial(launcher, tmp_path, {"args": {"max_steps": 13}}, NEVER)
    ended = trial.launch()
    assert ended.newest().facts["step"] == 13
    again = trial.resumed(ended.newest())
    assert final(again)[0]["step"] == 13
    assert differences(ended, again) == []
