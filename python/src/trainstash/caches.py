"""Values that functions compute once and keep: a resume computes them anew, from what there is then."""

from __future__ import annotations

import sys
from types import FunctionType
from typing import Any, Callable, List

from .steadiness import globals_read, names_read

#: Methods and functions that draw.
DRAWS = frozenset("rand randn randint random normal uniform choice randperm shuffle sample rand_like randn_like bernoulli".split())


def depends_on_state(function: Any, is_tracked: Callable[[Any], bool], changed: List[str]) -> bool:
    """Tells whether a function may give another value on a resume: it draws, or reads what is trained or has changed.

    Args:
        function: The function whose values are kept.
        is_tracked: Tells objects whose state a training changes.
        changed: Names of what is another than in the first round, or of what the loop changes.
    """
    if not isinstance(function, FunctionType):
        return False
    code, spaces = function.__code__, function.__globals__
    read = names_read(code)
    if DRAWS & read or any(name.partition(".")[0].partition("[")[0] in read or name.rpartition(".")[2] in read for name in changed):
        return True
    cells = [cell.cell_contents for cell in function.__closure__ or () if cell != type(cell)()]
    values = [*(spaces.get(name) for name in globals_read(code)), *cells]
    return any(value is not None and (is_tracked(value) or _is_trained(value)) for value in values)


def _is_trained(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and (isinstance(value, torch.nn.Module) or (isinstance(value, torch.Tensor) and value.requires_grad))
