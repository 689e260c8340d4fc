"""The parts of a ``paddle.Model``, into a checkpoint and out of it: the network, a loss with weights, optimizer and scaler."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from . import paddle_objects
from .ingredients import Ingredients
from .kinds import NAMES
from .special import short


class ModelState:
    """The state of a model, made when ``fit`` begins: the rate that the optimizer has then is the one that the script made it with."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._made_rate = paddle_objects.made_rate(model._optimizer)

    def saved(self, found: Ingredients) -> Dict[str, Any]:
        """Copies all of it, and notes in ``found`` what there is."""
        model = self._model
        found.kept("weights", "model")
        return {
            "model": paddle_objects.layer_state(model.network),
            "loss": paddle_objects.layer_state(model._loss) if _is_layer(model._loss) else {},
            "buffers": paddle_objects.buffers_of(model.network),
            "optimizer": self._optimizer_state(found),
            "scaler": self._scaler_state(found),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Loads what ``saved`` gave.

        Raises:
            ResumeError: Weights or optimizer do not fit. Nothing was changed.
        """
        model = self._model
        pairs = self._check(saved)
        paddle_objects.load_layer(model.network, saved["model"])
        paddle_objects.set_buffers(model.network, saved["buffers"])
        if _is_layer(model._loss):
            paddle_objects.load_layer(model._loss, saved["loss"])
        if pairs is not None:
            paddle_objects.load_optimizer(model._optimizer, saved["optimizer"], self._names(), pairs, self._made_rate)
        if saved["scaler"]:
            self._load_scaler(saved["scaler"])

    def gradients(self, found: Ingredients) -> Dict[str, Any]:
        """Copies the gradients that were computed and not yet used."""
        gradients = paddle_objects.gradients_of(self._parameters())
        if gradients["values"]:
            found.kept("gradients", NAMES["gradients"])
        else:
            found.absent("gradients", NAMES["gradients"])
        return gradients

    def put_gradients_back(self, saved: Mapping[str, Any]) -> None:
        """Sets what ``gradients`` gave."""
        paddle_objects.set_gradients(self._parameters(), saved)

    def _optimizer_state(self, found: Ingredients) -> Optional[Dict[str, Any]]:
        optimizer = self._model._optimizer
        try:
            state = paddle_objects.optimizer_state(optimizer, self._names(), self._made_rate)
        except Exception as error:
            found.lost("optimizer", "optimizer", short(error))
            found.absent("schedule", NAMES["schedule"])
            return None
        found.kept("optimizer", "optimizer")
        if state["schedule"] is None:
            found.absent("schedule", NAMES["schedule"])
        else:
            found.kept("schedule", NAMES["schedule"])
        return state

    def _scaler_state(self, found: Ingredients) -> Dict[str, Any]:
        scaler = getattr(self._model, "_scaler", None)
        state = scaler.state_dict() if scaler is not None else {}
        if state:
            found.kept("scaler", NAMES["scaler"])
        else:
            found.absent("scaler", NAMES["scaler"])
        return paddle_objects.plain_state(state)

    def _check(self, saved: Mapping[str, Any]) -> Optional[Dict[str, str]]:
        model = self._model
        paddle_objects.check_layer("model", model.network, saved["model"])
        if _is_layer(model._loss):
            paddle_objects.check_layer("loss", model._loss, saved["loss"])
        if saved["optimizer"] is None:
            return None
        return paddle_objects.check_optimizer("optimizer", model._optimizer, saved["optimizer"], self._names())

    def _load_scaler(self, saved: Mapping[str, Any]) -> None:
        import paddle

        model = self._model
        if getattr(model, "_scaler", None) is None:
            # Paddle makes it with the first batch, of these.
            model._scaler = paddle.amp.GradScaler(**model._adapter._amp_configs)
        model._scaler.load_state_dict(dict(saved))

    def _names(self) -> Dict[int, str]:
        return paddle_objects.names_of({"model": self._model.network, **({"loss": self._model._loss} if _is_layer(self._model._loss) else {})})

    def _parameters(self) -> Dict[str, Any]:
        return {name: one for name, one in self._model.network.named_parameters()}


def _is_layer(value: Any) -> bool:
    import paddle

    return isinstance(value, paddle.nn.Layer)
