"""Shapes of a loop, and what stands in it."""

from __future__ import annotations

from typing import List

from ..space import Choices
from .torch_parts import EPOCHS, STEPS

#: Loops by epochs: at the module's level, in a function for each epoch, in ``main``, in a class. Loops by steps: ``batches(steps=…)``,
#: ``forever``, ``while``, and batches that are drawn by a function. ``anew`` makes the loader in each epoch; ``broken off`` leaves
#: each epoch early.
SHAPES = (
    "plain", "plain", "function", "main", "class", "enumerate", "anew", "broken off", "bar", "two optimizers",
    "steps", "forever", "while", "drawn", "rounds",
)  # fmt: skip
_BY_STEPS = ("steps", "forever", "while", "drawn")
_CALLED = {"function", "main", "class"}


def made_possible(choices: Choices) -> Choices:
    """Takes back what does not go together."""
    shape = choices["shape"]
    if shape in _BY_STEPS or shape == "rounds":
        # There is no epoch whose end could be waited for.
        choices["validation"] = "between" if choices["validation"] != "none" else "none"
        if choices["schedule"] in ("plateau", "by epoch"):
            choices["schedule"] = "StepLR"
        if choices["variables"] in ("patience", "kept patience", "local"):
            choices["variables"] = "state"
        if choices["own checkpoint"] == "epoch":
            choices["own checkpoint"] = "step"
    if shape in ("while", "drawn") or choices["loader"] == "list":
        choices["workers"] = 0
    if choices["optimizer"] == "LBFGS":
        choices.update({"accumulation": 1, "scaler": False, "clip": False, "model": "mlp"})
    if choices["optimizer"] in ("fused AdamW", "Adafactor", "Muon") and choices["model"] == "frozen":
        choices["model"] = "mlp"
    if choices["schedule"] == "plateau" and choices["validation"] not in ("end", "draws"):
        choices["validation"] = "end"
    if choices["variables"] in ("patience", "kept patience") and choices["validation"] not in ("end", "draws"):
        choices["validation"] = "end"
    if choices["loader"] == "persistent" and shape == "anew":
        choices["loader"] = "shuffled"
    if shape in _BY_STEPS and choices["accumulation"] == 4:
        choices["accumulation"] = 2
    return choices


def loop(choices: Choices) -> str:
    """Writes the script from ``init`` on."""
    lines = ["", _init(choices)]
    if choices["variables"] in ("state",):
        lines.append("s = run.state(total=0.0, seen=[])")
    if choices["variables"] == "kept patience":
        lines.append("s = run.state(best=1e9, bad=0)")
    shape = choices["shape"]
    if shape == "anew":
        pass
    elif shape not in ("while", "drawn"):
        lines.append("loader = make()")
    if choices["accumulation"] > 1:
        lines.append("optimizer.zero_grad()")
    lines += _by_steps(choices) if shape in _BY_STEPS or shape == "rounds" else _by_epochs(choices)
    return "\n".join(lines) + "\n"


def _init(choices: Choices) -> str:
    tracked = ["model=model", "optimizer=optimizer"]
    if choices["schedule"] != "none":
        tracked.append("scheduler=scheduler")
    tracked += ["scaler=scaler"] if choices["scaler"] else []
    tracked += ["average=average"] if choices["average"] else []
    made = f"run = trainstash.init({', '.join(tracked)})"
    if choices["shape"] == "two optimizers":
        return (
            "critic = nn.Linear(3, 1)\ncritic_optimizer = torch.optim.SGD(critic.parameters(), lr=0.05)\n"
            + made[:-1]
            + ", critic=critic, critic_optimizer=critic_optimizer)"
        )
    return made


def _step(choices: Choices, counter: str) -> List[str]:
    """Writes what a loop does with ``batch``. ``counter``: the number of the batch in its epoch."""
    each = choices["accumulation"]
    if choices["optimizer"] == "LBFGS":
        body = ["def closure():", "    optimizer.zero_grad()", "    loss = loss_of(batch)", "    loss.backward()", "    return loss", "", "loss = optimizer.step(closure)"]
    else:
        body = [] if each > 1 else ["optimizer.zero_grad()"]
        value = f"loss_of(batch) / {each}" if each > 1 else "loss_of(batch)"
        body += [f"loss = {value}", "scaler.scale(loss).backward()" if choices["scaler"] else "loss.backward()"]
        update: List[str] = []
        if choices["clip"]:
            update += ["scaler.unscale_(optimizer)"] if choices["scaler"] else []
            update.append("nn.utils.clip_grad_norm_(model.parameters(), 1.0)")
        update += ["scaler.step(optimizer)", "scaler.update()"] if choices["scaler"] else ["optimizer.step()"]
        update += ["optimizer.zero_grad()"] if each > 1 else []
        body += update if each == 1 else []
        done = [*([] if each == 1 else update), *_after_update(choices)]
        return [*body, *(done if each == 1 else [f"if ({counter} + 1) % {each} == 0:", *_in(done)])]
    return [*body, *_after_update(choices)]


def _after_update(choices: Choices) -> List[str]:
    lines: List[str] = []
    if choices["shape"] == "two optimizers":
        lines += ["critic_optimizer.zero_grad()", "critic(model(batch[0], batch[1]).detach()).pow(2).mean().backward()", "critic_optimizer.step()"]
    if choices["schedule"] not in ("none", "plateau", "by epoch"):
        lines.append("scheduler.step()")
    if choices["average"]:
        lines.append("average.update_parameters(model)")
    shown = "loss=loss"
    variables = choices["variables"]
    if variables == "state":
        lines += ["s.total += loss.item()", "s.seen.append(round(loss.item(), 3))"]
        shown += ", total=s.total, seen=len(s.seen)"
    elif variables == "plain":
        lines.append("total += loss.item()")
        shown += ", total=total"
    elif variables == "local":
        lines.append("total += loss.item()")
    if choices["validation"] == "between":
        lines += ["if run.steps % 4 == 3:", "    run.log(val_loss=validate())"]
    lines.append(f"run.step({shown})")
    if choices["own checkpoint"] == "step":
        lines += ["if run.steps % 5 == 0:", "    run.checkpoint()"]
    return lines


def _end_of_epoch(choices: Choices) -> List[str]:
    lines: List[str] = []
    if choices["variables"] == "local":
        lines.append("run.log(mean=total)")
    if choices["validation"] in ("end", "draws"):
        lines += ["score = validate()", "run.log(val_loss=score)"]
    if choices["schedule"] == "plateau":
        lines.append("scheduler.step(score)")
    if choices["schedule"] == "by epoch":
        lines.append("scheduler.step()")
    if choices["variables"] == "patience":
        lines += ["if score < best:", "    best, bad = score, 0", "else:", "    bad += 1", "    if bad > 1:", "        break"]
    if choices["variables"] == "kept patience":
        lines += ["if score < s.best:", "    s.best, s.bad = score, 0", "else:", "    s.bad += 1", "    if s.bad > 1:", "        break"]
    if choices["own checkpoint"] == "epoch":
        lines.append("run.checkpoint()")
    return lines


def _begin(choices: Choices) -> List[str]:
    """Writes the lines before the outermost loop."""
    found = {"plain": ["total = 0.0"], "patience": ["best, bad = 1e9, 0"]}.get(choices["variables"], [])
    return list(found)


def _by_epochs(choices: Choices) -> List[str]:
    shape = choices["shape"]
    counts = shape == "enumerate" or choices["accumulation"] > 1
    wrapped = "run.batches(make())" if shape == "anew" else "run.batches(loader)"
    if shape == "bar":
        wrapped = f"(one for one in {wrapped})"
    inner = f"for i, batch in enumerate({wrapped}):" if counts else f"for batch in {wrapped}:"
    left_early = ["if run.steps % 7 == 5:", "    break"] if shape == "broken off" else []
    reset = ["total = 0.0"] if choices["variables"] == "local" else []
    batches = [*reset, inner, *_in([*_step(choices, "i"), *left_early])]
    ending = _end_of_epoch(choices)
    epochs = f"for epoch in run.epochs({EPOCHS}):"
    before = _begin(choices)
    if shape == "function":
        gives = choices["variables"] in ("plain", "local")
        head = ["", "", "def train_epoch(total):" if choices["variables"] == "plain" else "def train_epoch():"]
        body = [*batches, *(["return total"] if gives else [])]
        call = {"plain": "total = train_epoch(total)", "local": "total = train_epoch()"}.get(choices["variables"], "train_epoch()")
        return [*head, *_in(body), "", "", *before, epochs, *_in([call, *ending])]
    everything = [*before, epochs, *_in([*batches, *ending])]
    if shape == "main":
        return ["", "", "def main():", *_in(everything), "", "", "main()"]
    if shape == "class":
        own = [line.replace("total", "self.total") if choices["variables"] in ("plain", "local") else line for line in everything]
        own = [line.replace("self.total=self.total", "total=self.total").replace("s.self.total", "s.total") for line in own]
        return ["", "", "class Trainer:", *_in(["def fit(self):", *_in(own)]), "", "", "Trainer().fit()"]
    return everything


def _by_steps(choices: Choices) -> List[str]:
    shape = choices["shape"]
    counts = choices["accumulation"] > 1
    before = _begin(choices)
    if shape in ("while", "drawn"):
        draw = ["picked = torch.randint(28, (4,))", "batch = (xs[picked], ids[picked], ys[picked])"]
        if shape == "while":
            body = _micro_batches(choices, draw) if counts else [*draw, *_step(choices, "0")]
            return [*before, f"while run.steps < {STEPS}:", *_in(body)]
        head = ["def draw():", "    picked = torch.randint(28, (4,))", "    return xs[picked], ids[picked], ys[picked]", ""]
        wrapped = f"run.batches(draw, steps={STEPS * choices['accumulation']})"
        inner = f"for i, batch in enumerate({wrapped}):" if counts else f"for batch in {wrapped}:"
        return [*head, *before, inner, *_in(_step(choices, "i"))]
    total = STEPS * choices["accumulation"]
    if shape == "rounds":
        inner = "for i, batch in enumerate(run.batches(loader)):" if counts else "for batch in run.batches(loader):"
        stop = [f"if run.steps >= {STEPS}:", "    break"]
        return [*before, f"while run.steps < {STEPS}:", *_in([inner, *_in([*_step(choices, "i"), *stop])])]
    wrapped = f"run.batches(loader, steps={total})" if shape == "steps" else "run.forever(loader)"
    inner = f"for i, batch in enumerate({wrapped}):" if counts else f"for batch in {wrapped}:"
    stop = [f"if run.steps >= {STEPS}:", "    break"] if shape == "forever" else []
    return [*before, inner, *_in([*_step(choices, "i"), *stop])]


def _micro_batches(choices: Choices, draw: List[str]) -> List[str]:
    """Writes accumulation as a loop of its own, with one step behind it."""
    lines = _step(choices, "i")
    at = next(n for n, line in enumerate(lines) if line.startswith("if (i + 1)"))
    micro, update = lines[:at], [line[4:] for line in lines[at + 1 :]]
    return [f"for _ in range({choices['accumulation']}):", *_in([*draw, *micro]), *update]


def _in(lines: List[str]) -> List[str]:
    return [f"    {line}" if line else "" for line in lines]
