"""Takes the devices that the process may see, as a framework takes their memory: fails if another process has one of them."""
import fcntl, os, sys

held = []
for index in filter(None, os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")):
    place = os.path.join(os.environ["GPUS"], f"gpu-{index}")
    memory = open(os.path.join(place, "memory"), "a")
    try:
        # A file that says so stands for memory that suffices for several.
        shares = os.path.exists(os.path.join(os.environ["GPUS"], "shared"))
        fcntl.flock(memory, (fcntl.LOCK_SH if shares else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        print("CUDA out of memory", index)
        sys.exit(1)
    held.append(memory)
    # With its start: the number belongs to another process once this one has ended.
    with open("/proc/self/stat") as about, open(os.path.join(place, str(os.getpid())), "w") as note:
        note.write(about.read().rsplit(")", 1)[1].split()[19])
