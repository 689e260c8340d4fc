"""Puts the rules that the daemon reads, too, into the package. In the repository they lie with the protocol, in an sdist in the
package already."""

from pathlib import Path
from typing import Any, Dict

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TARGETS = {"wheel": "trainstash/rules", "sdist": "src/trainstash/rules"}


class Rules(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: Dict[str, Any]) -> None:
        """Adds the rules to what is packed, without the description of their folder. An editable install finds it in the repository."""
        rules = Path(self.root).parent / "protocol" / "rules"
        if version != "editable" and rules.is_dir():
            for path in rules.glob("*.json"):
                build_data["force_include"][str(path)] = f"{TARGETS[self.target_name]}/{path.name}"
