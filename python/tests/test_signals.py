"""A signal ends a training with a checkpoint of the step that it has reached, on all ranks, whichever processes it was sent to."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest
from pairs import HERE, PACKAGE, Training, differences
from signalled.trial import Choices, Trials

SCRIPTS = HERE / "scripts"


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    made = Trials()
    yield made
    made.close()


@pytest.mark.parametrize(
    "choices",
    [
        Choices("torch", 2, (2, "fork", True), "SIGUSR2", "torchrun", "validation", 1, 4, 0.01),
        Choices("plain", 1, (0, "", False), "SIGHUP", "process", "twice", 0, 15, 0.01),
    ],
    ids=str,
)
def test_no_step_is_lost_and_the_resumed_training_ends_with_the_same_bits(trials: Trials, choices: Choices) -> None:
    outcome = trials.run(choices)
    assert outcome.is_good(), outcome.problem


@contextlib.contextmanager
def started(folder: Path, script: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """Starts a script in a group of its own, of which nothing is left in the end."""
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRAINSTASH")}
    env.update(PYTHONPATH=str(PACKAGE), OMP_NUM_THREADS="1", **{name: str(value) for name, value in more.items()})
    child = subprocess.Popen(
        [sys.executable, str(SCRIPTS / script)], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.sample
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_workers_outlive_signals_other_processes_obey_them_and_a_worker_that_hangs_is_not_waited_for(tmp_path: Path, method: str) -> None:
    with started(tmp_path, "worker_ends.py", MODE="signals", METHOD=method) as child:
        output, _ = child.communicate(timeout=120)
    # All batches but the first, each number twice.
    assert f"sum {2 * sum(range(2, 64))}\n" in output, output
    assert "another ended by 15\n" in output and output.endswith("end\n") and child.returncode == 0, output


@pytest.mark.parametrize("mode", ["parent", "starting"])
def test_workers_end_with_their_parent(tmp_path: Path, mode: str) -> None:
    with started(tmp_path, "worker_ends.py", MODE=mode) as child:
        assert child.stdout is not None
        line = next(line for line in child.stdout if line.startswith("workers"))
        workers: List[int] = [int(pid) for pid in line.split()[1:]]
        child.kill()
        wait_until(lambda: not any(lives(pid) for pid in workers))


def test_a_signal_that_the_script_handles_stays_its_own_and_one_of_an_unrecorded_training_ends_it(tmp_path: Path) -> None:
    script = tmp_path / "own.py"
    script.write_text(
        "import os, signal, sys, trainstash\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('mine', flush=True))\n"
        "run = trainstash.init()\n"
        "for epoch in run.epochs(2):\n"
        "    os.kill(os.getpid(), getattr(signal, os.environ['WHICH']))\n"
        "    run.step(loss=1.0)\n"
        "print('end')\n"
    )
    with started(tmp_path, str(script), WHICH="SIGUSR1") as child:
        assert child.communicate(timeout=120)[0].endswith("mine\nmine\nend\n")
    (tmp_path / ".git" / "trainstash").rename(tmp_path / "kept")
    (tmp_path / ".git" / "trainstash").write_text("in the way")
    with started(tmp_path, str(script), WHICH="SIGUSR2") as child:
        output = child.communicate(timeout=120)[0]
    assert "this training is not recorded" in output and child.returncode == -signal.SIGUSR2, output


@pytest.mark.parametrize("kill", ["soft", "hard"])
def test_a_signal_in_a_long_validation_keeps_the_steps_before_it_at_once(launcher: Any, tmp_path: Path, kill: str) -> None:
    training = Training(launcher, tmp_path, "long_validation")
    whole = training.launch()
    signalled = training.launch(KILL=kill)
    # The state is written beside the validation, and nobody waits for the end of that.
    assert "validated" not in signalled.output and (signalled.newest().facts["step"], signalled.newest().grade) == (4, "complete"), signalled.output
    assert signalled.was_killed if kill == "hard" else (signalled.exit() or {}).get("reason") == "after SIGTERM"
    resumed = training.launch(resume=signalled.newest())
    assert resumed.output.startswith("validated 0\n") and differences(whole, resumed) == [], resumed.output
