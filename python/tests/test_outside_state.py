"""State outside of the script's variables and objects: in the environment, in modules of libraries, in files, in other parts of the
process. A checkpoint without it is partial and names it; what only looks like it is no reason."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import pytest
from pairs import NEVER, Launch, Launcher, Training, differences

_CHANGED = "reads what the loop itself changes, and a resume finds that as the last process left it (outside_files.py:"
_OUTSIDE = "reads what comes from outside of the process"
KINDS = {
    "environment": "`os.environ['CALLS']` starts again on a resume (outside_state.py:", "hook of the tensor": "`os.environ['CALLS']`",
    "own text": "`os.environ['IN_TEXT']`", "library_module": "`torch.calls` starts again", "module in text": "`torch.in_text` starts again",
    "inner_module": "`torch.nn.calls`", "attribute_of_class": "`torch.nn.Linear.calls`", "attribute_of_function": "`np.mean.calls`",
    "builtin_name": "`builtins.calls`", "path_of_modules": "`sys.path`", "default_type": "`torch.utils.calls`",
    "by_getattr": "`Counted.calls`", "by_attrgetter": "`Counted.calls`", "by_vars": "`Counted.calls`",
    "native": "`library.rand` calls a library of C",
    "context": "`VARIABLE`", "thread_local": "`local.n`", "thread_local_class": "`own_local.n`", "in_thread": "`flags['n']`",
    "queued": "`prefetched.queue`", "generator": "`going`", "signalled": "`got['signals']`", "logged": "`handler.records`",
    "in_slots": "`slotted.n`", "in_context": "`Guard.entered`", "made_objects": "`Meta.made`",
    "autograd_function": "`Doubled.times`", "dtype": "`torch.get_default_dtype()` was changed",
    "random_instance": "`drawn`", "counting": "`counter`", "accumulating": "`accumulated`", "in_memory": "`memory`",
    "of_tensor": "`model.0.weight.calls`", "of_optimizer_state": "`optimizer.calls`", "of_model": "`model.calls`", "private attribute": "`model.4._calls`",
    "partial": "`partially.args[0][0]`", "counted_by_hook": "`hooked['n']`", "descriptor": "`Described.n.reads`",
    "lambdas of workers": "its workers change `seen`", "sampler with state": "of its sampler changes while it is read",
}  # fmt: skip


FILES = {
    "opened": f"`open` {_CHANGED}", "texts": f"` {_CHANGED}", "jsons": f"` {_CHANGED}", "arrays": f"` {_CHANGED}", "pickles": f"`open` {_CHANGED}",
    "tensors": f"` {_CHANGED}", "listed": f"`listdir` {_CHANGED}", "globbed": f"`glob` {_CHANGED}", "iterated": f"`iterdir` {_CHANGED}",
    "sized": f"`getsize` {_CHANGED}", "existing": f"`exists` {_CHANGED}", "renamed": f"` {_CHANGED}", "mapped": f"` {_CHANGED}",
    "shelved": "`shelve.open` reads a store", "database": "`sqlite3.connect` reads a store", "process": f"`subprocess.run` {_OUTSIDE}",
    "checked_output": f"`subprocess.check_output` {_OUTSIDE}", "popen": f"`os.popen` {_OUTSIDE}",
}  # fmt: skip

#: Where the state is, and what is read.
GROUPS = {
    "environment": ["environment", "hook of the tensor", "own text"],
    "modules": ["library_module", "module in text", "inner_module", "builtin_name", "path_of_modules", "default_type", "dtype"],
    "attributes": ["attribute_of_class", "attribute_of_function", "by_getattr", "by_attrgetter", "by_vars", "in_slots", "descriptor"],
    "attributes of torch's objects": ["of_tensor", "of_optimizer_state", "of_model", "private attribute"], "C": ["native"],
    "threads": ["context", "thread_local", "thread_local_class", "in_thread", "queued", "signalled", "logged"],
    "objects of Python's": ["generator", "random_instance", "counting", "accumulating", "in_memory", "partial", "counted_by_hook"],
    "classes": ["in_context", "made_objects", "autograd_function"], "data": ["lambdas of workers", "sampler with state"],
    "contents": ["opened", "texts", "jsons", "arrays", "pickles", "tensors", "mapped"], "stores": ["shelved", "database"],
    "folders": ["listed", "globbed", "iterated", "sized", "existing", "renamed"], "processes": ["process", "checked_output", "popen"],
}  # fmt: skip


def kind_of(params: Dict[str, str]) -> str:
    return next(kind for kind, names in GROUPS.items() if params["how"] in names)


def killed_after_its_checkpoint(launcher: Launcher, folder: Path, script: str, how: str) -> Launch:
    """Runs a script up to a kill some steps behind its checkpoint: by then files are others."""
    (folder / "files").mkdir()
    killed = Training(launcher, folder, script, NEVER, HOW=how).launch(KILL=22, CHECKPOINT_AT=14, CHECKPOINT=0, FILES=folder / "files")
    assert killed.was_killed, killed.output
    return killed


@pytest.mark.sample(each=kind_of)
@pytest.mark.parametrize("how", KINDS)
def test_state_outside_is_named(launcher: Launcher, tmp_path: Path, how: str) -> None:
    newest = killed_after_its_checkpoint(launcher, tmp_path, "outside_state", how).newest()
    assert newest.grade == "partial"
    assert KINDS[how] in newest.missing


@pytest.mark.sample(each=kind_of)
@pytest.mark.parametrize("how", FILES)
def test_what_is_read_from_outside_is_named(launcher: Launcher, tmp_path: Path, how: str) -> None:
    newest = killed_after_its_checkpoint(launcher, tmp_path, "outside_files", how).newest()
    assert newest.grade == "partial"
    assert FILES[how] in newest.missing


def test_a_file_that_the_loop_keeps_a_number_in_by_its_own_text_is_named(launcher: Launcher, tmp_path: Path) -> None:
    newest = killed_after_its_checkpoint(launcher, tmp_path, "outside_in_text", "").newest()
    assert newest.grade == "partial"
    assert "`open` reads what the loop itself changes" in newest.missing
    assert "(outside_in_text.py:14)" in newest.missing


@pytest.mark.sample(count=5)
@pytest.mark.parametrize(
    "how",
    """none config_before config_in_loop data_file environment_once environment_set log_file shown_file last_three last_three_by_path history
    stop_file folder_made library_read shown_process getattr_of_steady working_directory""".split(),
)
def test_what_only_looks_like_it_is_no_reason(launcher: Launcher, tmp_path: Path, how: str) -> None:
    newest = killed_after_its_checkpoint(launcher, tmp_path, "outside_files", how).newest()
    assert (newest.grade, newest.missing) == ("complete", "")


@pytest.mark.sample(each=lambda params: params["how"].split()[0])
@pytest.mark.parametrize("how", ["quantized", "pruned", "pruned layer of the script", "pruned again"])
def test_observers_and_masks_are_kept(launcher: Launcher, tmp_path: Path, how: str) -> None:
    if how == "quantized":
        pytest.importorskip("torch.ao.quantization", reason="this torch quantizes elsewhere")
    whole, killed, resumed = Training(launcher, tmp_path, "quantized_and_pruned", NEVER, HOW=how).pair(20)
    assert (killed.newest().grade, killed.newest().missing) == ("complete", "")
    assert differences(whole, resumed) == []


@pytest.mark.sample(count=2)
@pytest.mark.parametrize("how", "history_within history_returned history_tried rotated pruned saved_once refused shown".split())
def test_files_that_decide_what_is_saved_are_no_reason(launcher: Launcher, tmp_path: Path, how: str) -> None:
    newest = killed_after_its_checkpoint(launcher, tmp_path, "outside_decisions", how).newest()
    assert (newest.grade, newest.missing) == ("complete", "")


@pytest.mark.sample(count=3)
@pytest.mark.parametrize("how", "gathered returned returned_before within scheduled by_the_clock lower_rate scaled_network tracked_more in_place".split())
def test_files_and_clocks_that_decide_what_is_trained_are_named(launcher: Launcher, tmp_path: Path, how: str) -> None:
    newest = killed_after_its_checkpoint(launcher, tmp_path, "outside_decisions", how).newest()
    assert newest.grade == "partial"
    assert "outside_decisions.py:" in newest.missing


@pytest.mark.parametrize("how", ["weighted", "replayed", "rewritten", "weighted by workers", "rewritten by workers"])
def test_files_that_the_training_changes_and_its_data_set_reads_are_named(launcher: Launcher, tmp_path: Path, how: str) -> None:
    newest = killed_after_its_checkpoint(launcher, tmp_path, "data_files", how).newest()
    assert newest.grade == "partial"
    assert "it reads files that the training changes, which a resume finds as the last process left them (data_files.py:" in newest.missing


@pytest.mark.parametrize("how", ["records", "cached", "records by workers", "cached by workers"])
def test_files_that_a_data_set_reads_beside_the_training_are_no_reason(launcher: Launcher, tmp_path: Path, how: str) -> None:
    newest = killed_after_its_checkpoint(launcher, tmp_path, "data_files", how).newest()
    assert (newest.grade, newest.missing) == ("complete", "")
