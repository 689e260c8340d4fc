"""Codes of what a checkpoint lacks, each with a page in ``docs/diagnostics.md``. What an editor finds in a script's text as well has one
sentence for both, in ``protocol/rules/findings.json``."""

from __future__ import annotations

from typing import Any, Dict

from .shared import rules

LOOP_VARIABLE = "loopVariable"
UNTRACKED_OBJECT = "untrackedObject"
PLAIN_LOADER = "plainLoader"
EARLY_STEP = "earlyStep"
OTHER_VALUE = "otherValue"
#: Found while a script runs, and not in its text.
HIDDEN_STATE = "hiddenState"
PROCESS_SETTING = "processSetting"
OUTSIDE_READ = "outsideRead"

_SENTENCES: Dict[str, Any] = rules("findings")


def clause(code: str, several: bool = False) -> str:
    """Returns the clause that stands behind the name of what is lost."""
    known = _SENTENCES.get(code, {})
    return str(known.get("several" if several else "one", "is not kept"))


#: A clause for a value whose use was followed.
DEPENDS = f"{clause(OTHER_VALUE)}, which the training depends on"
