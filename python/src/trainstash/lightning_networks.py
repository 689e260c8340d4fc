"""Networks and metrics beside a Lightning module: the average that a callback holds, a teacher in a list. Lightning saves none of them."""

from __future__ import annotations

import sys
from typing import Any, Dict, Iterator, List, Mapping, Tuple

_MOST_ITEMS = 64


class Networks:
    """The networks that attributes of some objects refer to.

    Args:
        owners: The objects, by name.
        module: The module that is trained, whose own parts are kept elsewhere.
    """

    def __init__(self, owners: Mapping[str, Any], module: Any) -> None:
        self._owners = dict(owners)
        self._inner = {id(one) for one in module.modules()}
        self._first = self.present()

    def present(self) -> Dict[str, Any]:
        """Returns them by name, as they are now."""
        base = sys.modules["torch"].nn.Module
        found: Dict[str, Any] = {}
        for owner, target in self._owners.items():
            for name, value in list(getattr(target, "__dict__", {}).items()):
                for path, one in _each(f"{owner}.{name}", value):
                    if isinstance(one, base) and id(one) not in self._inner and not any(one is known for known in found.values()):
                        found[path] = one
        return found

    def parts(self) -> Dict[str, Any]:
        """Returns all of their modules."""
        return {f"{path}.{name}".rstrip("."): part for path, one in self._first.items() for name, part in one.named_modules()}

    def held(self) -> List[Any]:
        """Lists what a checkpoint has of them."""
        known = list(self._first.values())
        return [*(part for one in known for part in one.modules()), *(value for one in known for value in (*one.parameters(), *one.buffers()))]

    def state(self, is_first: bool) -> Dict[str, Any]:
        """Collects weights and buffers. Those with weights are the same on each rank, and kept by the first."""
        return {
            path: dict(_tensors(one)) for path, one in self._first.items() if is_first or not any(True for _ in one.parameters())
        }  # fmt: skip

    def changed(self) -> List[Tuple[str, str]]:
        """Lists those that are other objects than when training began: pairs of a name and why they are lost."""
        now = self.present()
        new = [(path, "it was made while the training ran") for path in now if path not in self._first]
        gone = [(path, "it is another object than when the training began") for path, one in self._first.items() if now.get(path) is not one]
        return new + gone

    def put_back(self, saved: Mapping[str, Mapping[str, Any]]) -> List[Tuple[str, str]]:
        """Puts back what ``state`` gave.

        Returns:
            What could not be: pairs of a name and why.
        """
        failed: List[Tuple[str, str]] = []
        for path, values in saved.items():
            one = self._first.get(path)
            now = dict(_tensors(one)) if one is not None else {}
            if set(now) != set(values) or any(now[name].shape != value.shape for name, value in values.items()):
                failed.append((path, "it is not there any more, or has other weights"))
                continue
            for name, value in values.items():
                now[name].data.copy_(value)
        return failed


def _tensors(network: Any) -> Iterator[Tuple[str, Any]]:
    yield from network.named_parameters()
    yield from network.named_buffers()


def _each(name: str, value: Any) -> Iterator[Tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f"{name}[{key!r}]", item) for _, (key, item) in zip(range(_MOST_ITEMS), value.items()))
    elif isinstance(value, (list, tuple)):
        yield from ((f"{name}[{i}]", item) for i, item in enumerate(value[:_MOST_ITEMS]))
    else:
        yield name, value
