"""A training, as the script sees it."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Iterable, Iterator, Optional, Union

from .engine import Engine
from .state import State


class Run:
    """A training, as ``trainstash.init`` gives it. In a child process of the training it only passes things through. None of its
    methods raises for anything that the script's objects do, or that fails on our side."""

    def __init__(self, engine: Engine) -> None:
        self._held = engine
        #: Hyper-parameters: those of ``init``, over them those of the launch.
        self.params: Dict[str, Any] = engine.params
        #: Values kept with every checkpoint: numbers, texts, lists and dicts of them. ``run.state`` is the handier way.
        self.vars: Dict[str, Any] = engine.vars
        #: True: this launch goes on from a checkpoint.
        self.resumed: bool = engine.resumed
        self.seed: int = engine.seed
        self.rank: int = engine.rank
        self.world: int = engine.world
        #: A folder for files of this run, the same in all of its launches.
        command, session = engine.launch.get("command") or {}, engine.session
        self.dir = str(command.get("dir") or (os.path.join(session.path, "files") if session else os.getcwd()))

    @property
    def _engine(self) -> Engine:
        """Returns the engine that trains; after the end of a cell that has trained, one that goes on."""
        if self._held.ending.is_closed:
            self._held = self._held.current()
            self.resumed = self._held.resumed
        return self._held

    @property
    def _newest(self) -> Engine:
        """Returns the newest engine, which may be over."""
        return self._held

    @property
    def steps(self) -> int:
        """Returns the optimizer steps that are done, those before a resume included."""
        if not self._newest.ending.is_closed:
            self._newest.steps_are_asked_for()
        return self._newest.steps

    @property
    def epoch(self) -> int:
        """Returns the epochs that are done; inside of an epoch its number."""
        return self._newest.epoch

    @property
    def over(self) -> bool:
        """Tells whether the loop over epochs has come to its end."""
        return self._newest.over

    def epochs(self, n: int) -> Iterator[int]:
        """Counts like ``range(n)``, from the epoch that a resumed run is in. An epoch's checkpoint is taken when its whole
        body has run, so that a resume from it begins the next one.

        Args:
            n: How many epochs the training has in all.
        """
        return self._engine.epochs(n)

    def batches(self, loader: Union[Iterable[Any], Callable[[], Any]], steps: Optional[int] = None) -> Any:
        """Iterates over the loader, from the batch with which a resumed run continues. Its order is a function of the run's seed.

        Args:
            loader: A DataLoader or any other iterable, or a function that draws a batch and is called for each.
            steps: How many batches there are to be; the loader is begun again as often as that takes. None: its own number.

        Example:
            for x, y in run.batches(loader): ...
            for x, y in run.batches(lambda: get_batch("train"), steps=5000): ...
        """
        return self._engine.batches(loader, steps, endless=False)

    def forever(self, loader: Iterable[Any]) -> Any:
        """Yields the loader's batches without an end, in a new order each time around. Leave the loop with ``break``.

        Args:
            loader: The same as for ``batches``.
        """
        return self._engine.batches(loader, None, endless=True)

    def step(self, **metrics: Any) -> None:
        """Logs, takes checkpoints that are due, and pauses when asked: to be called once after each ``optimizer.step()``.

        Args:
            metrics: Numbers by name. Tensors of one element may be on a device: they are read later.

        Raises:
            SystemExit: A pause or a stop was asked for, and the state is saved. In a notebook KeyboardInterrupt.
        """
        self._engine.step(metrics)

    def log(self, **metrics: Any) -> None:
        """Logs metrics of this step, beside those of ``step``; the monitored one decides which checkpoint is the best.

        Args:
            metrics: The same as for ``step``. Four names stand for what is no number: ``image`` (an array, a figure of matplotlib,
                an image of Pillow, the bytes of a file), ``histogram`` (an array), ``table`` (a data frame, rows or columns) and
                ``text``. A dict gives several of them names.

        Example:
            run.log(val_loss=loss, image={"samples": images, "confusion": figure}, text="a sentence that it made")
        """
        self._engine.log(metrics)

    def checkpoint(self, tag: Optional[str] = None) -> None:
        """Takes a checkpoint of the present state and waits until it is written. Call it between two steps. With several
        processes it comes back at once, on whichever of them it is called; rank 0's request is met at the next step at which
        all of them meet, about half a second later.

        Args:
            tag: A name to find it by.
        """
        self._engine.checkpoint(tag)

    def track(self, **more: Any) -> None:
        """Keeps objects that are made later as those of ``init``. On a resume they are restored here.

        Args:
            more: Objects by name.

        Raises:
            ResumeError: Their weights do not fit the checkpoint's.
            TypeError: One of them has no state that could be kept.
        """
        self._engine.track(more)

    def state(self, **values: Any) -> State:
        """Makes values of the loop that travel with each checkpoint, read and written as attributes.

        Args:
            values: The values at the beginning: plain values, lists and dicts of them, small tensors and arrays.

        Example:
            s = run.state(total=0.0, best=None, losses=[])
            s.total += loss.item()
        """
        return self._engine.state(values)
