"""Owns a journal for journal.test.ts: argv[1] is the options; then one command a line, one answer a line."""
import json
import os
import sys

from rankzero.journal import Journal
from rankzero.layouts import Layout
from rankzero.place import JournalOptions, find_place
from rankzero.process import boot_id, pid_namespace, proc_start

o = json.loads(sys.argv[1])
origin = {
    "instance": o["instance"], "meeting": "0" * 32, "run": None, "role": "worker", "rank": 0, "worldSize": 1,
    "localRank": 0, "node": os.uname().nodename, "bootId": boot_id(), "pidns": pid_namespace(),
    "pid": os.getpid(), "procStart": proc_start(os.getpid()), "startedAt": 1, "dir": o["dir"], "cli": "",
}
options = JournalOptions(origin, os.environ, o.get("cap", 1 << 28), 1, o.get("ring", 4 << 20))
journal = Journal(find_place(options))
layouts = [Layout(0, ["x", "y"]), Layout(1, ["z"])]
for layout in layouts:
    journal.define(layout)


def values_of(step, layout):
    return [step * 1.5 + i for i in range(layout.count)]


def log(step):
    layout = layouts[1 if step % 5 == 0 else 0]
    if step % 3 == 0:
        done = journal.put_weighted(layout, step, step / 7, values_of(step, layout))
    else:
        done = journal.put(layout, step, values_of(step, layout))
    if not done:
        journal.drop(layout)


def facts():
    return {
        "path": journal.path, "mapped": journal.mapped, "seq": journal.seq(), "logged": journal.logged,
        "lost": journal.lost, "acked": journal.acked(), "run": journal.run_id(), "beat": journal.beat(),
    }


def answer(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


answer(facts())
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "log":
        for step in range(command["from"], command["to"]):
            log(step)
    elif command["do"] == "flood":
        # Each step is told after it was logged: what the other side has read must be in the journal.
        step = command["from"]
        while True:
            log(step)
            if step % 8 == 0:
                os.write(1, b"%d\n" % step)
            step += 1
    elif command["do"] == "text":
        journal.payload(4, {"line": "t" * command["size"]})
    elif command["do"] == "tick":
        journal.tick()
    elif command["do"] == "close":
        journal.close()
    answer(facts())
