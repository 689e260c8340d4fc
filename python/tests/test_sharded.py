"""FSDP2 and tensor parallel: each process writes its parts into one checkpoint, and another number of processes reads it."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
import torch
import trainstash
from launcher import become
from ranks import FORKS

SCRIPT = Path(__file__).parent / "scripts" / "sharded_training.py"
STEPS = 12


def train(
    folder: Path, name: str, world: int, how: str = "fsdp", end: int = STEPS, resume: Optional[Path] = None, every: int = 5
) -> Dict[str, Any]:
    """Runs the script on some processes. Returns what each rank had at its end, and what they said."""
    session = folder / name
    for part in ("inbox", "taking"):
        (session / part).mkdir(parents=True)
    launch: Dict[str, Any] = {
        "session": name, "run": "r", "params": {}, "seed": 5, "purpose": "train", "untilStep": None, "untilEpoch": None, "monitor": None,
        "checkpoint": {"everySeconds": 0, "everySteps": every, "everyEpochs": None, "onBest": False},
        "resume": {"directory": str(resume), "checkpoint": "c", "step": 5} if resume else None,
    }  # fmt: skip
    (session / "launch.json").write_text(json.dumps(launch))
    result = folder / f"{name}.result"
    outputs = [folder / f"{name}.{rank}.output" for rank in range(world)]
    children = []
    for rank, output in enumerate(outputs):
        env = {
            "TRAINSTASH_SESSION": str(session),
            "RANK": str(rank),
            "WORLD_SIZE": str(world),
            "MEET": str(folder / f"{name}.meet"),
        }
        request = {"script": str(SCRIPT), "words": [how, str(end), str(result)], "env": env, "output": str(output), "folder": str(folder)}
        children.append(FORKS.Process(target=become, args=(request,)))
    for child in children:
        child.start()
    for child in children:
        child.join(timeout=120)
    codes = [child.exitcode for child in children]
    for child in children:
        child.kill()
    said = [output.read_text() for output in outputs]
    assert codes == [0] * world, "\n".join(said)
    ranks = [torch.load(f"{result}.{rank}.{end}") for rank in range(world)]
    at_10 = Path(f"{result}.0.10")
    noted = torch.load(at_10) if at_10.exists() else None
    return {"ranks": ranks, "at 10": noted, "said": "\n".join(said), "session": session}


def checkpoint(trained: Dict[str, Any], step: int) -> Path:
    (found,) = trained["session"].glob(f"inbox/{step:09d}-*")
    return Path(found)


def facts(path: Path) -> Dict[str, Any]:
    read: Dict[str, Any] = json.loads((path / "checkpoint.json").read_text())
    return read


def differences(one: Dict[str, Any], other: Dict[str, Any]) -> List[str]:
    return [
        f"{part}.{name}"
        for part in ("weights", "slots")
        for name, value in one[part].items()
        if not torch.equal(torch.as_tensor(value), torch.as_tensor(other[part][name]))
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Any]:
    return train(tmp_path_factory.mktemp("whole"), "whole", 2)


def test_the_same_number_of_processes_goes_on_bit_for_bit(whole: Dict[str, Any], tmp_path: Path) -> None:
    path = checkpoint(whole, 5)
    assert (facts(path)["grade"], facts(path)["missing"]) == ("complete", [])
    names = {entry["name"]: entry["bytes"] for entry in facts(path)["files"]}
    assert set(names) == {"state.pt", *(f"shards/{name}" for name in (".metadata", "__0_0.distcp", "__1_0.distcp"))}
    assert all((path / name).stat().st_size == size for name, size in names.items())
    resumed = train(tmp_path, "resumed", 2, resume=path)
    for rank in range(2):
        assert differences(whole["ranks"][rank], resumed["ranks"][rank]) == []
        assert torch.equal(whole["ranks"][rank]["rng"], resumed["ranks"][rank]["rng"])
    assert facts(checkpoint(resumed, 10))["grade"] == "complete"
    # So that equal states have equal digests.
    for name in names:
        one, other = (checkpoint(run, 10) / name for run in (whole, resumed))
        assert name.endswith(".metadata") or one.read_bytes() == other.read_bytes()


def test_another_number_of_processes_goes_on_with_weights_cut_anew_and_says_so(whole: Dict[str, Any], tmp_path: Path) -> None:
    resumed = train(tmp_path, "resumed", 3, resume=checkpoint(whole, 5))
    assert "the weights are cut anew: 2 processes wrote them, and there are 3 now" in resumed["said"]
    assert resumed["ranks"][2]["steps"] == STEPS
    assert int(resumed["ranks"][2]["slots"]["0.step"]) == STEPS
    assert facts(checkpoint(resumed, 10))["grade"] == "partial"


def test_shards_are_loaded_by_a_model_that_is_not_cut(whole: Dict[str, Any]) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(6, 10), torch.nn.Tanh(), torch.nn.Dropout(0.2), torch.nn.Linear(10, 3))
    optimizer = torch.optim.AdamW(model.parameters())
    # The state that the other launch ended with.
    run = trainstash.init(model=model, optimizer=optimizer, resume=str(checkpoint(whole, 10)))
    run._engine.over = True
    slots = {f"{i}.{name}": value for i, state in enumerate(optimizer.state.values()) for name, value in state.items()}
    assert int(slots["0.step"]) == 10
    assert differences(whole["at 10"], {"weights": model.state_dict(), "slots": slots}) == []


def test_tensor_parallel_begins_with_whole_weights_and_goes_on_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".trainstash").mkdir()
    monkeypatch.chdir(tmp_path)
    model = torch.nn.Sequential(torch.nn.Linear(6, 10), torch.nn.Tanh(), torch.nn.Dropout(0.2), torch.nn.Linear(10, 3))
    optimizer = torch.optim.AdamW(model.parameters())
    run = trainstash.init(model=model, optimizer=optimizer, scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40))
    run.checkpoint()
    run._engine.over = True
    (plain,) = tmp_path.glob(".trainstash/sessions/*/inbox/0*")
    whole = train(tmp_path, "whole", 2, how="tensor", resume=plain)
    assert differences({"weights": model.state_dict(), "slots": {}}, torch.load(tmp_path / "whole.result.1.0")) == []
    resumed = train(tmp_path, "resumed", 2, how="tensor", resume=checkpoint(whole, 5))
    assert differences(whole["ranks"][1], resumed["ranks"][1]) == []


def test_a_buffer_that_differs_between_processes_is_named(tmp_path: Path) -> None:
    trained = train(tmp_path, "trained", 2, how="buffer", end=7)
    (lost,) = facts(checkpoint(trained, 5))["missing"]
    assert lost == "model.seen of the other processes (it differs between them; that of the first is kept)"


class Evil:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_the_index_of_shards_runs_nothing(whole: Dict[str, Any], tmp_path: Path) -> None:
    import shutil

    path = tmp_path / "checkpoint"
    shutil.copytree(checkpoint(whole, 5), path)
    (path / "shards" / ".metadata").write_bytes(pickle.dumps(Evil(str(tmp_path / "ran"))))
    with pytest.raises(trainstash.ResumeError, match="the index of its shards cannot be read: it holds (posix|os|nt).mkdir"):
        trainstash.init(model=torch.nn.Sequential(torch.nn.Linear(6, 10), torch.nn.Tanh(), torch.nn.Dropout(), torch.nn.Linear(10, 3)), resume=str(path))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("wrong", ["cut", "gone", "outside"])
def test_shards_that_are_damaged_are_refused(wrong: str, whole: Dict[str, Any], tmp_path: Path) -> None:
    import shutil

    path = tmp_path / "checkpoint"
    shutil.copytree(checkpoint(whole, 5), path)
    part = path / "shards" / "__1_0.distcp"
    if wrong == "cut":
        part.write_bytes(part.read_bytes()[:-100])
    elif wrong == "gone":
        part.unlink()
    else:
        index = path / "shards" / ".metadata"
        index.write_bytes(index.read_bytes().replace(b"__1_0.distcp", b"../aa.distcp"))
    model = torch.nn.Sequential(torch.nn.Linear(6, 10), torch.nn.Tanh(), torch.nn.Dropout(), torch.nn.Linear(10, 3))
    before = model[0].weight.detach().clone()
    with pytest.raises(trainstash.ResumeError, match="Nothing was loaded"):
        trainstash.init(model=model, resume=str(path))
    assert torch.equal(model[0].weight, before)
