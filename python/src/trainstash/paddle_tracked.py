"""Paddle's objects in a loop of the script's own."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from . import ResumeError, paddle_objects
from .adopted import Adopted
from .paddle_random import paddle_module
from .special import short
from .watched import Watched


def adopt(value: Any, objects: Mapping[str, Any]) -> Optional[Adopted]:
    """Dresses a layer, an optimizer, a schedule, a scaler or a tensor of Paddle; None for any other object."""
    paddle = paddle_module()
    if paddle is None:
        return None
    if isinstance(value, paddle.nn.Layer):
        return _Layer(value)
    if isinstance(paddle_objects.inner_optimizer(value), paddle.optimizer.Optimizer):
        return _Optimizer(value, objects)
    if isinstance(value, paddle.optimizer.lr.LRScheduler):
        return _Schedule(value)
    if isinstance(value, paddle.amp.GradScaler):
        return _Scaler(value)
    if isinstance(value, paddle.Tensor):
        return _Tensor(value)
    return None


class _Layer(Adopted):
    kind = "weights"

    def __init__(self, value: Any) -> None:
        # A wrapper that distributes a layer adds nothing to its state.
        super().__init__(getattr(value, "_layers", value))
        # Counts and the like that a forward pass keeps beside the weights.
        self._attributes = Watched(paddle_objects.is_known, paddle_objects.plain_tensor, paddle_objects.tensor_of)
        for path, layer in self.value.named_sublayers(include_self=True):
            self._attributes.add(f"layer {path}", paddle_objects.Plain(layer))

    def state_dict(self) -> Dict[str, Any]:
        return {
            "attributes": self._attributes.state()[0],
            **paddle_objects.layer_state(self.value),
            "buffers": paddle_objects.buffers_of(self.value),
            "gradients": paddle_objects.gradients_of(self._parameters()),
        }

    def check(self, name: str, saved: Any) -> None:
        paddle_objects.check_layer(name, self.value, {key: value for key, value in saved.items() if hasattr(value, "shape")})

    def load_state_dict(self, saved: Any) -> None:
        paddle_objects.load_layer(self.value, saved)
        paddle_objects.set_buffers(self.value, saved["buffers"])
        self._attributes.put_back(saved["attributes"])
        paddle_objects.set_gradients(self._parameters(), saved["gradients"])

    def mark(self) -> Any:
        return paddle_objects.mark_of(self.parts())

    def parts(self) -> List[Any]:
        return [*self.value.parameters(), *self.value.buffers()]

    def _parameters(self) -> Dict[str, Any]:
        return dict(self.value.named_parameters())


class _Optimizer(Adopted):
    kind = "optimizer"

    def __init__(self, value: Any, objects: Mapping[str, Any]) -> None:
        super().__init__(value)
        self._objects = objects
        self._made_rate = paddle_objects.made_rate(value)

    @property
    def schedule(self) -> Any:
        """The schedule that drives it, which is kept with it."""
        return getattr(paddle_objects.inner_optimizer(self.value), "_learning_rate", None)

    def state_dict(self) -> Dict[str, Any]:
        return paddle_objects.optimizer_state(self.value, self._names(), self._made_rate)

    def check(self, name: str, saved: Any) -> None:
        paddle_objects.check_optimizer(name, self.value, saved, self._names())

    def load_state_dict(self, saved: Any) -> None:
        pairs = paddle_objects.check_optimizer("optimizer", self.value, saved, self._names())
        paddle_objects.load_optimizer(self.value, saved, self._names(), pairs, self._made_rate)

    def _names(self) -> Dict[int, str]:
        return paddle_objects.names_of({name: one.value for name, one in self._objects.items() if isinstance(one, _Layer)})


class _Schedule(Adopted):
    kind = "schedule"

    def state_dict(self) -> Dict[str, Any]:
        return {"class": type(self.value).__name__, **paddle_objects.schedule_state(self.value)}

    def load_state_dict(self, saved: Any) -> None:
        if saved["class"] != type(self.value).__name__:
            raise ValueError(f"it was {saved['class']} when the checkpoint was taken, and is {type(self.value).__name__} now")
        paddle_objects.load_schedule(self.value, saved)


class _Scaler(Adopted):
    kind = "scaler"

    def is_idle(self) -> bool:
        return not self.value.is_enable()

    def state_dict(self) -> Dict[str, Any]:
        return paddle_objects.plain_state(self.value.state_dict())

    def load_state_dict(self, saved: Any) -> None:
        if saved:
            self.value.load_state_dict(dict(saved))


class _Tensor(Adopted):
    kind = "weights"

    def state_dict(self) -> Any:
        return {"value": paddle_objects.array_of(self.value)}

    def check(self, name: str, saved: Any) -> None:
        then, now = list(saved["value"].shape), list(self.value.shape)
        if then != now:
            raise ResumeError(f"The checkpoint does not fit: {name} is {then} in the checkpoint, {now} in the script. Nothing was loaded.")

    def load_state_dict(self, saved: Any) -> None:
        try:
            self.value.set_value(saved["value"])
        except Exception as error:
            raise ResumeError(f"The tensor cannot be loaded: {short(error)}") from error
