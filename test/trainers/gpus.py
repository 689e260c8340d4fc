"""Takes the devices that the process may see, as a framework takes their memory: fails if another process has one of them."""
import fcntl, os, sys, threading, time

FOLDER = os.environ["GPUS"]
held = []


def take():
    for index in filter(None, os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")):
        place = os.path.join(FOLDER, f"gpu-{index}")
        memory = open(os.path.join(place, "memory"), "a")
        # A file that says so stands for memory that suffices for several.
        shares = os.path.exists(os.path.join(FOLDER, "shared"))
        fcntl.flock(memory, (fcntl.LOCK_SH if shares else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        held.append(memory)
        # With its start: the number belongs to another process once this one has ended.
        with open("/proc/self/stat") as about, open(os.path.join(place, str(os.getpid())), "w") as note:
            note.write(about.read().rsplit(")", 1)[1].split()[19])


def leave():
    while held:
        memory = held.pop()
        os.remove(os.path.join(os.path.dirname(memory.name), str(os.getpid())))
        memory.close()


class Driver:
    """Stands for the part of NVIDIA's driver in this process: a thread that does what `cuda-checkpoint` asks for."""

    STEPS = {
        "lock": ("running", "locked"),
        "checkpoint": ("locked", "checkpointed"),
        "restore": ("checkpointed", "locked"),
        "unlock": ("locked", "running"),
    }

    def __init__(self, folder):
        self.folder = folder
        self.own = os.path.join(folder, str(os.getpid()))
        self.calls = threading.Lock()
        self.become("running")
        threading.Thread(target=self.serve, daemon=True).start()

    def become(self, state):
        self.state = state
        with open(self.own + ".new-state", "w") as file:
            file.write(state + "\n")
        os.replace(self.own + ".new-state", self.own + ".state")

    def serve(self):
        while True:
            time.sleep(0.01)
            if not os.path.exists(self.own + ".do"):
                continue
            with open(self.own + ".do") as file:
                said = self.act(file.read().strip())
            with open(self.own + ".done", "w") as file:
                file.write(said)
            os.remove(self.own + ".do")

    def act(self, action):
        before, after = self.STEPS[action]
        if self.state != before:
            return f"Cannot {action} a process that is {self.state}"
        for name in (f"fail-{action}", f"fail-{action}-{os.getpid()}"):
            fault = os.path.join(self.folder, name)
            if not os.path.exists(fault):
                continue
            with open(fault) as file:
                how = file.read()
            if how == "failed":
                self.become("failed")
            return f"CUDA error: operation not supported ({how})"
        if action == "lock":
            self.calls.acquire()
        if os.path.exists(os.path.join(self.folder, f"slow-{action}")):
            time.sleep(1)
        if action == "checkpoint":
            leave()
        if action == "restore":
            try:
                take()
            except OSError:
                leave()
                return "CUDA error: out of memory"
        if action == "unlock":
            self.calls.release()
        self.become(after)
        return "ok"


try:
    take()
except OSError:
    print("CUDA out of memory")
    sys.exit(1)
driver = Driver(os.path.join(FOLDER, "driver")) if os.path.exists(os.path.join(FOLDER, "driver")) else None


def compute():
    """Computes on the devices; blocks while they are locked."""
    if driver:
        with driver.calls:
            pass
