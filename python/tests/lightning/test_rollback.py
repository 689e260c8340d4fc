"""A rollback of a Lightning training: other params than its checkpoint has, and batches that are left out."""

from __future__ import annotations

from pairs import each_steps

from trainings import Case


def resume_of(checkpoint, params):
    return {"directory": str(checkpoint.path), "checkpoint": checkpoint.facts["id"], "step": checkpoint.facts["step"], "params": params}


def test_a_rollback_leaves_out_batches_and_takes_the_new_rate(launcher, folder):
    case = Case(launcher, folder, each_steps(4))
    whole, broken = case.launch(), case.launch(KILL=21)
    newest = broken.newest()
    assert newest.facts["step"] == 20
    back = case.launch(
        newest, {"resume": resume_of(newest, {"lr": 0.01}), "params": {"lr": 0.005}, "skip": {"count": 5, "unit": "batches"}}
    )
    assert back.code == 0, back.output
    last = back.newest()
    # 5 of the 16 batches of the second epoch are not trained on.
    assert last.facts["step"] == whole.newest().facts["step"] - 5
    assert [group["lr"] for one in torch_state(last)["optimizer_states"] for group in one["param_groups"]] == [0.005]
    assert [one["code"] for one in back.events("notice") if one["code"] in ("params", "notLeftOut")] == ["params"]
    assert last.grade == "complete", last.missing


def torch_state(checkpoint):
    import torch

    return torch.load(checkpoint.path / "state.pt", weights_only=True)
