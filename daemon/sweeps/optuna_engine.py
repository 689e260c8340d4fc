"""Asks Optuna on behalf of a sweep. Reads a request a line, and answers each with a line.

The study is in a journal file, so that a process that is killed at any moment is followed by one that goes on. Each trial stays in
the state RUNNING while its run may still go on, since Optuna cannot take up an ended one again. What a sampler or a pruner has to
see otherwise, it sees in a copy of the study in memory. All that is drawn depends on the history and on the trial's number, and not
on how often this process was started.
"""

import json
import math
import sys
import warnings

warnings.simplefilter("ignore")


def main():
    try:
        import optuna
    except ImportError as error:
        return say({"error": "missing", "text": str(error)})
    optuna.logging.disable_default_handler()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    say({"version": optuna.__version__})
    engine = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "open":
                engine = Engine(optuna, request)
                say({"ok": True})
            else:
                say(getattr(engine, request["do"])(request))
        except Exception as error:
            say({"error": "failed", "text": f"{type(error).__name__}: {error}"})


def say(answer):
    print(json.dumps(answer), flush=True)


class Engine:
    def __init__(self, optuna, request):
        self.optuna = optuna
        self.plan = request["plan"]
        self.direction = "minimize" if request["mode"] == "min" else "maximize"
        self.name = request["name"]
        drop_torn_line(request["journal"])
        backend = optuna.storages.journal.JournalFileBackend(request["journal"])
        self.study = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend),
            study_name=self.name,
            direction=self.direction,
            load_if_exists=True,
            sampler=self.sampler(0),
            pruner=self.pruner(True),
        )
        # Fails now, and not at the first trial, if a package is missing or a range is wrong.
        self.distributions = {name: self.distribution(one) for name, one in self.plan["params"].items()}

    def distribution(self, of):
        make = self.optuna.distributions
        if "choice" in of:
            # Optuna takes no lists and objects, so each value stands for itself by its place.
            return make.CategoricalDistribution(list(range(len(of["choice"]))))
        if "int" in of:
            return make.IntDistribution(*of["int"])
        if "uniform" in of:
            return make.FloatDistribution(*of["uniform"])
        return make.FloatDistribution(*of["logUniform"], log=True)

    def sampler(self, number):
        samplers = self.optuna.samplers
        kind = {"tpe": "TPESampler", "gp": "GPSampler", "cmaes": "CmaEsSampler", "qmc": "QMCSampler"}
        seed = (self.plan["seed"] * 1_000_003 + number) % 2**31
        return getattr(samplers, kind[self.plan["algorithm"]])(seed=seed)

    def pruner(self, waits):
        """`waits`: the first runs at a rung wait for others before one of them goes on."""
        settings = self.plan.get("pruner")
        pruners = self.optuna.pruners
        if settings is None:
            return pruners.NopPruner()
        least, factor = settings["minSteps"], settings["reduction"]
        if settings["kind"] == "median":
            return pruners.MedianPruner(n_startup_trials=factor, n_warmup_steps=least)
        rung = {"min_resource": least, "reduction_factor": factor, "bootstrap_count": factor - 1 if waits else 0}
        if settings["kind"] == "asha":
            return pruners.SuccessiveHalvingPruner(**rung)
        return pruners.HyperbandPruner(max_resource=settings["maxSteps"], **rung)

    def copied(self, states, without_rung=None):
        """Copies the study. `states`: those that trials have there, by number, instead of their own."""
        copy = self.optuna.create_study(
            study_name=self.name, direction=self.direction, sampler=self.sampler(0), pruner=self.pruner(True)
        )
        trials = []
        for trial in self.study.get_trials(deepcopy=True):
            state = states.get(trial.number, trial.state)
            ends = state.is_finished()
            if ends and state == self.optuna.trial.TrialState.PRUNED:
                value = trial.intermediate_values.get(trial.last_step)
                trial.value = None if value is None or math.isnan(value) else value
            trial.state = state
            trial.datetime_complete = trial.datetime_start if ends else None
            if trial.number == without_rung:
                rungs = sorted(rungs_of(trial.system_attrs))
                if rungs:
                    del trial.system_attrs[rung_key(rungs[-1])]
            trials.append(trial)
        copy.add_trials(trials)
        return copy

    # ---- requests ----

    def ask(self, request):
        """Returns a trial without a run: one that was drawn before its run could be made, or a new one. `known`: with runs."""
        running = self.optuna.trial.TrialState.RUNNING
        known = set(request["known"])
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state == running and trial.number not in known:
                return self.answer(trial.number, trial.params)
        number = len(self.study.get_trials(deepcopy=False))
        pruned = {one: self.optuna.trial.TrialState.PRUNED for one in request["paused"]}
        copy = self.copied(pruned)
        copy.sampler = self.sampler(number)
        drawn = copy.ask(self.distributions)
        waiting = self.optuna.trial.TrialState.WAITING
        if not self.study.get_trials(deepcopy=False, states=(waiting,)):
            self.study.enqueue_trial(drawn.params)
        trial = self.study.ask(self.distributions)
        return self.answer(trial.number, trial.params)

    def answer(self, number, params):
        ranges = self.plan["params"]
        real = {name: ranges[name]["choice"][value] if "choice" in ranges[name] else value for name, value in params.items()}
        return {"trial": number, "params": real}

    def report(self, request):
        """Notes values by step, and says whether the run is to end. Stops at the first value that says so."""
        trial = self.trial(request["trial"])
        if trial is None:
            return {"prune": False}
        frozen = self.study.get_trials(deepcopy=False)[request["trial"]]
        known = frozen.last_step
        # A daemon that died before it could obey hears it again.
        given_up = frozen.user_attrs.get("given_up")
        if given_up is not None:
            return {"prune": True, "step": given_up}
        for step, value in request["points"]:
            if known is not None and step <= known:
                continue
            trial.report(math.nan if value is None else value, step)
            if trial.should_prune():
                trial.set_user_attr("given_up", step)
                return {"prune": True, "step": step}
        return {"prune": False}

    def promote(self, request):
        """Returns the paused trials that may go on now. `final`: nothing new follows, so no run waits for others."""
        chosen = []
        pruner = self.pruner(not request["final"])
        for number in request["paused"]:
            copy = self.copied({}, without_rung=number)
            trial = copy.get_trials(deepcopy=True)[number]
            if trial.intermediate_values and not pruner.prune(copy, trial):
                chosen.append(number)
        for number in chosen:
            self.trial(number).set_user_attr("given_up", None)
        # The best of the furthest ones first.
        sign = 1 if self.direction == "minimize" else -1
        trials = self.study.get_trials(deepcopy=False)

        def place(number):
            trial = trials[number]
            return (-len(rungs_of(trial.system_attrs)), sign * trial.intermediate_values[trial.last_step])

        return {"trials": sorted(chosen, key=place)}

    def tell(self, request):
        """Ends a trial. `value` null: it failed, or was pruned. One that has ended already stays as it is."""
        state = self.optuna.trial.TrialState[request["state"]]
        if self.trial(request["trial"]) is None:
            return {"ok": False}
        trial = self.study.get_trials(deepcopy=False)[request["trial"]]
        if state == self.optuna.trial.TrialState.PRUNED and not trial.intermediate_values:
            state = self.optuna.trial.TrialState.FAIL
        values = request["value"] if state == self.optuna.trial.TrialState.COMPLETE else None
        self.study.tell(request["trial"], values, state=state)
        return {"ok": True}

    def trial(self, number):
        """Returns a trial that still runs."""
        trials = self.study.get_trials(deepcopy=False)
        if number >= len(trials) or trials[number].state != self.optuna.trial.TrialState.RUNNING:
            return None
        return self.optuna.trial.Trial(self.study, trials[number]._trial_id)


def drop_torn_line(path):
    """Cuts off what a process that was killed while it wrote has left behind: Optuna would append to it, and read neither."""
    try:
        with open(path, "r+b") as file:
            content = file.read()
            if content and not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)
    except FileNotFoundError:
        pass


def rung_key(rung):
    return f"completed_rung_{rung}"


def rungs_of(attributes):
    return [int(name.rsplit("_", 1)[1]) for name in attributes if name.startswith("completed_rung_")]


main()
