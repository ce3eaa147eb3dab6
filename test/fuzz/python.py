"""The Python client's own readers against changed inputs: python.py SECONDS SEED. Status 1: a finding.

Law: nothing but RankzeroError comes out, each input takes less than a second of this process, and what comes
out keeps the promises of its reader.
"""
import json
import os
import random
import re
import sys
import tempfile
import time
import traceback

from rankzero.agent import cli_of
from rankzero.errors import RankzeroError
from rankzero.format import PAGE_BYTES, encode_header, json_bytes
from rankzero.header import OwnerHeader
from rankzero.meeting import head_candidates, launched_by, meeting_id
from rankzero.process import Facts, ProcessFact
from rankzero.rank import Explicit, identify, parse_owner
from rankzero.settings import read_settings
from rankzero.start import _has_ended, _is_supervised
from rankzero.values import cut_text, is_name, json_number, number_of, plain, step_of

HERE = os.path.dirname(os.path.abspath(__file__))
ENV = os.path.join(HERE, "..", "rank", "env")
FACTS = Facts(100, 7, "b", 0, (ProcessFact(9, 1, "torchrun"),))
ODD = [
    "", " ", "0", "-1", "1e999", "../../etc/passwd", "a\0b", "\x1b[31m", "\n", "\u202e", "__proto__", "%s",
    "~", "x" * 5000, "9" * 400, "[::1]:99999", "/dev/zero", "null", "nan", "\ud800", "[]", "[1]",
    '["node"]', "1:2",
]
OURS = {
    "RANKZERO_RUN": "r1", "RANKZERO_MEETING": "ab" * 16, "RANKZERO_HEAD": "[fd00::1]:99",
    "RANKZERO_EXIT_TIMEOUT": "1.5", "RANKZERO_OVERFLOW_CAP": "4MiB", "RANKZERO_CLI": '["node","x"]',
    "RANKZERO_OWNER": "1:2:3:4:5", "RANKZERO_SUPERVISOR": "1:2:b", "RANKZERO_DIR": "~/r", "RANKZERO_KEY": "k",
}


class Odd:
    """A value that answers everything wrongly."""

    def __float__(self):
        raise OverflowError("no")

    def item(self):
        return self

    def __str__(self):
        raise RuntimeError("no text")


def recorded():
    found = [OURS]
    for name in sorted(os.listdir(ENV)):
        with open(os.path.join(ENV, name), encoding="utf-8") as file:
            found += [process["env"] for process in json.load(file)["processes"][:2]]
    return found


ENVIRONMENTS = recorded()


def change(dice, text):
    how = dice.randrange(5)
    at = dice.randrange(len(text) + 1)
    if how == 0:
        return dice.choice(ODD)
    if how == 1:
        return text[:at]
    if how == 2:
        return text[:at] + dice.choice(ODD) + text[at:]
    if how == 3:
        return text[:at] + chr(dice.randrange(0x250)) + text[at + 1:]
    return text + text


def environment(dice):
    env = dict(dice.choice(ENVIRONMENTS))
    env.update({name: OURS[name] for name in dice.sample(sorted(OURS), dice.randrange(4))})
    for _ in range(1 + dice.randrange(4)):
        name = dice.choice(sorted(env))
        env[name] = change(dice, env[name])
        if dice.random() < 0.1:
            del env[name]
    me = identify(env, FACTS)
    assert 0 <= me.rank < me.world_size and me.local_rank < me.world_size, me
    meeting = meeting_id(env, FACTS, me)
    assert re.fullmatch("[0-9a-f]{32}", meeting.meeting), meeting
    launched_by(meeting, FACTS)
    head_candidates(env, me.world_size, me.local_world_size)
    parse_owner(env, FACTS)
    _is_supervised(env)
    said = []
    settings = read_settings({"name": dice.choice(ODD)}, env, said.append)
    assert settings.dir.startswith("/") and "\0" not in settings.dir, settings
    assert settings.exit_timeout_ms >= 0 and settings.overflow_cap >= 0, settings
    cli_of(env)
    identify(env, FACTS, Explicit(dice.choice([0, -1, 2.5, "1", None, Odd()]), dice.choice([1, 2**70, True])))


def header(dice):
    page = encode_header({"instance": "ab" * 16, "dir": dice.choice(ODD)}, 4096, [dice.choice(ODD)], 1)
    for _ in range(1 + dice.randrange(64)):
        page[dice.randrange(PAGE_BYTES)] = dice.randrange(256)
    mapped = OwnerHeader(memoryview(page), -1)
    for cell in range(32, 38):
        assert isinstance(mapped.agent(cell), float)
    run = mapped.run_id()
    assert run is None or len(run) <= 256, run
    mapped.store()
    mapped.detach()


def tree(dice, depth=0):
    how = dice.randrange(8)
    if how < 3 or depth > 60:
        return dice.choice(ODD + [None, 1, -1.5, float("nan"), 2**70, b"x", Odd(), 1j, {1, 2}])
    if how < 5:
        return [tree(dice, depth + 1) for _ in range(dice.randrange(4))]
    return {dice.choice(ODD + [1, None, (1,)]): tree(dice, depth + 1) for _ in range(dice.randrange(4))}


def values(dice):
    value = tree(dice)
    if dice.random() < 0.1:
        value = [value]
        value.append(value)
    json_bytes(plain(value))
    number, _ = number_of(value)
    assert number is None or isinstance(number, (int, float)), number
    if number is not None:
        json_bytes(json_number(number))
    step = step_of(value)
    assert step is None or 0 <= step < 2**53, step
    is_name(value)
    json_bytes(cut_text("%s%s" % (dice.choice(ODD), "é" * dice.randrange(9))))


def ended(dice):
    text = change(dice, '{"state":"ended","ranks":2}')
    with tempfile.NamedTemporaryFile(prefix="rz-guard-fuzz-") as file:
        file.write(text.encode("utf-8", "surrogatepass"))
        file.flush()
        assert _has_ended(file.name) in (True, False)


def main():
    seconds, seed = float(sys.argv[1]), int(sys.argv[2])
    end = time.monotonic() + seconds
    counts = {}
    n = 0
    while n < 200 or time.monotonic() < end:
        for target in (environment, header, values, ended):
            n += 1
            dice = random.Random("%d %d" % (seed, n))
            begun = time.process_time()
            answer = "fine"
            try:
                target(dice)
            except RankzeroError:
                answer = "refused"
            except BaseException:
                traceback.print_exc()
                sys.exit("input %d of seed %d breaks the law of %s" % (n, seed, target.__name__))
            if time.process_time() - begun > 1:
                sys.exit("input %d of seed %d takes %s too long" % (n, seed, target.__name__))
            counts[target.__name__, answer] = counts.get((target.__name__, answer), 0) + 1
    parts = ["%s %s %d" % (*key, count) for key, count in sorted(counts.items())]
    print("fuzz python: %d inputs, %s" % (n, ", ".join(parts)))


main()
