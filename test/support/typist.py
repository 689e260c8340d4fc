"""Types each text followed by Tab into a shell, until the screen shows what is expected after it."""
import json, os, pty, re, select, sys, time
shell, script, lines = json.loads(sys.argv[1])
child, terminal = pty.fork()
if child == 0:
    os.execvp(shell[0], shell)
def shown(seen):
    for line in re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', seen).split('\n'):
        cells, at = [], 0
        for character in line:
            if character == '\b': at -= 1
            elif character == '\r': at = 0
            else: cells[at:at + 1], at = [character], at + 1
        yield ''.join(cells)
def shows(wanted, seconds):
    global seen
    seen, end = '', time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 65536).decode(errors='replace')
            if any(wanted in line for line in shown(seen)): return True
    return False
os.write(terminal, (script + "; echo rea''dy\n").encode())
shows('ready', 15)
for typed, wanted in lines:
    # A key that is typed while the shell completes may be lost, also the one that clears the line: then it is typed anew.
    for attempt in range(4):
        os.write(terminal, (typed + '\t').encode())
        if shows(wanted, 5 if attempt < 3 else 15): break
        os.write(terminal, b'\x03')
        shows('\0', 0.5)
    else:
        sys.exit(f'{wanted!r} is not in {seen!r}')
    os.write(terminal, b'\x15')
os.write(terminal, b'exit\n')
os.close(terminal)
