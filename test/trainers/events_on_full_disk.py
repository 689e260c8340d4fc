"""Writes events and JSON files to a disk that it fills itself: DIRECTORY FILE FILLER LONG."""
import json, os, sys
from trainstash.session import Session, write_json
session = Session(sys.argv[1], {}, alone=False)
say = lambda step: session.notice("test", "warning", sys.argv[4], step)
write_json(sys.argv[2], {"number": 1})
say(1)
with open(sys.argv[3], "wb", buffering=0) as filler:
    try:
        while filler.write(bytes(65536)): pass
    except OSError:
        pass
for step in range(2, 6): say(step)
try:
    write_json(sys.argv[2], {"text": sys.argv[4]})
    print("written")
except OSError:
    pass
for _ in range(100): session.flush()
os.remove(sys.argv[3])
say(6)
