"""Starts a script in several processes with the variables that torchrun sets; Debian's torchrun does not run under its
own Python 3.11. When one ends badly the others are ended, as torchrun does."""
import os, signal, socket, subprocess, sys, time

count, script = int(sys.argv[1]), sys.argv[2:]
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
common = {**os.environ, "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
ranks = [
    subprocess.Popen([sys.executable, *script], env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)})
    for rank in range(count)
]
signal.signal(signal.SIGTERM, lambda *_: [rank.terminate() for rank in ranks])
while any(rank.poll() is None for rank in ranks):
    if any(rank.poll() not in (None, 0) for rank in ranks):
        for rank in ranks:
            rank.kill()
    time.sleep(0.05)
sys.exit(max(abs(rank.returncode) for rank in ranks))
