"""The facts that the bits of a training depend on, and its hyper-parameters as JSON can hold them."""

from __future__ import annotations

import sys
from typing import Any, Dict, Mapping, Optional

from .distributed import Group
from .masking import mask_params, unmasked
from .shared import PACKAGES


def environment(group: Group) -> Dict[str, str]:
    """Collects the facts that the bits of a training depend on."""
    import platform
    from importlib import metadata

    facts = {
        "python": platform.python_version(),
        "platform": f"{sys.platform} {_machine(platform.machine())}",
    }
    for name in PACKAGES:
        try:
            facts[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "backend"):
        facts["keras backend"] = str(keras.backend.backend())
    torch = sys.modules.get("torch")
    if torch is not None:
        facts["threads"] = str(torch.get_num_threads())
        if torch.cuda.is_available():
            facts["device"] = torch.cuda.get_device_name()
            facts["cuda"] = str(torch.version.cuda)
            facts["cudnn"] = str(torch.backends.cudnn.version())
            facts["cudnn benchmark"] = str(torch.backends.cudnn.benchmark)
            facts["tf32"] = str(torch.backends.cuda.matmul.allow_tf32)
        facts["deterministic"] = str(torch.are_deterministic_algorithms_enabled())
    if group.several:
        facts["world"] = str(group.world)
    return facts


def _machine(name: str) -> str:
    return {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64"}.get(name, name)


def merged_params(own: Mapping[str, Any], launched: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """Returns the script's params with those of the launch in their place. A mask in the launch's stands for the real value.
    JSON turns what it cannot hold into text: where that text is the script's own value, the script's own stays."""
    written = plain_params(own)
    changed = {
        name: value for name, value in unmasked(launched).items() if name not in written or written[name] != value
    }
    return {**own, **changed}


def plain_params(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Returns what JSON can hold, other values as text. What looks like a secret is masked: all of it is written down."""

    def plain(value: Any) -> Any:
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float):
            return value if value - value == 0 else str(value)
        if isinstance(value, Mapping):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return str(value)

    return mask_params({str(name): plain(value) for name, value in params.items() if not str(name).startswith("_")})
