"""Goal: what README.md claims of the life of a leg holds in every state that the model can reach, and would be noticed
if it did not: each configuration is searched to its end by spin's verifier, and a planted fault is found under the name
of what it breaks. And the arrows that the searches take are those of leg.def, none more and none fewer."""
import concurrent.futures
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import steps

HERE = os.path.dirname(os.path.abspath(__file__))
LEG_DEF = os.path.join(HERE, "..", "..", "proto", "leg.def")
MEMORY_MB, DEPTH, SECONDS = 1000, 100000, 600

# The long ones first. What the words mean stands at the head of leg.pml.
CONFIGURATIONS = {
    "rekeying_sisters": ("offer_only", "REKEYS GENERATIONS=2 SISTER ACKNOWLEDGES"),
    "rekeying": ("with_body", "REKEYS GENERATIONS=3 OPENS ACKNOWLEDGES"),
    "deciding": ("offer_only", "BATCH=2 SISTER WITHDRAWS EXPIRES"),
    "forwarding": ("with_body", "FORWARDS GENERATIONS=2 OPENS WITHDRAWS EXPIRES"),
    "handing_over": ("with_body", "SISTER EXPIRES"),
    "forwarding_rekeying": ("with_body", "FORWARDS REKEYS GENERATIONS=3 ACKNOWLEDGES"),
    "settling_offer": ("offer_only", "SISTER ACKNOWLEDGES OPENS"),
    "rekeying_offer": ("offer_only", "REKEYS GENERATIONS=3 OPENS ACKNOWLEDGES"),
    "forwarding_offer": ("offer_only", "FORWARDS GENERATIONS=2 OPENS WITHDRAWS EXPIRES"),
    "forwarding_sisters": ("offer_only", "FORWARDS GENERATIONS=2 SISTER EXPIRES"),
    "forwarding_rekeying_offer": ("offer_only", "FORWARDS REKEYS GENERATIONS=3 ACKNOWLEDGES"),
    "grouping": ("offer_only", "BATCH=3 SISTER EXPIRES"),
    "settling": ("with_body", "SISTER ACKNOWLEDGES"),
    "consenting": ("with_body", "ACKNOWLEDGES CONSENTS"),
    "consenting_offer": ("offer_only", "ACKNOWLEDGES CONSENTS"),
    "consenting_sisters": ("offer_only", "SISTER CONSENTS EXPIRES"),
    "closing": ("with_body", "ACKNOWLEDGES CLOSES EXPIRES"),
    "closing_offer": ("offer_only", "ACKNOWLEDGES CLOSES EXPIRES"),
    "opening": ("with_body", "OPENS WITHDRAWS EXPIRES"),
    "opening_offer": ("offer_only", "OPENS WITHDRAWS EXPIRES"),
    "replying": ("reply", "BATCH=2 SISTER WITHDRAWS EXPIRES PARENT ACKNOWLEDGES"),
    "replying_rekeying": ("reply", "REKEYS GENERATIONS=3 PARENT ACKNOWLEDGES"),
    # Nothing goes round for ever, unless the world disturbs it for ever.
    "progress": ("offer_only", "LIVENESS OPENS WITHDRAWS EXPIRES"),
    "progress_body": ("with_body", "LIVENESS ACKNOWLEDGES CLOSES"),
    "progress_forwarding": ("offer_only", "LIVENESS FORWARDS REKEYS GENERATIONS=2 ACKNOWLEDGES"),
    "progress_reply": ("reply", "LIVENESS REKEYS GENERATIONS=3 PARENT ACKNOWLEDGES"),
}

# The fault, the configurations that must notice it, and what they must call it.
FAULTS = [
    ("answer_before_commit", "deciding handing_over replying", "answered means kept: a receipt is gone"),
    ("forget_on_crash", "deciding handing_over replying", "answered means kept"),
    ("forgets_who_left", "forwarding_sisters", "answered means kept: one statement, two answers"),
    ("refusal_passes", "replying", "answered means kept: what was refused for good is stored"),
    ("judged_by_the_state_before_the_batch", "deciding grouping", "one decision"),
    ("expiry_first", "deciding grouping", "one decision: a deadline beat what had arrived before it"),
    ("old_post_decides", "forwarding forwarding_sisters",
     "one decision: another post than the one that the leg is with has spoken"),
    ("body_before_acceptance", "handing_over settling", "body only after acceptance"),
    ("ordinal_skipped", "deciding replying", "no state without its entry: an ordinal is missing"),
    ("state_without_entry", "deciding opening", "no state without its entry"),
    ("entry_without_state", "deciding opening", "no state without its entry"),
    ("stored_twice", "deciding replying", "an effect happens once: one statement has two entries"),
    ("repeat_taken_anew", "consenting", "an effect happens once: one statement has two entries"),
    ("consents_pile_up", "consenting_sisters", "an effect happens once: a side has consented twice"),
    ("no_retry", "settling settling_offer", "no dead end"),
    ("need_not_cleared", "rekeying replying_rekeying", "no dead end"),
    ("never_answers", "progress progress_reply", "goes round"),
]


class Run:
    """One search: what it found, and what it cost."""

    def __init__(self, folder, liveness, fault=None):
        number = fault_numbers()[fault] if fault else 0
        command = [os.path.join(folder, "pan"), f"-m{DEPTH}"] + (["-l"] if liveness else [])
        began = time.monotonic()
        done = subprocess.run(command, cwd=folder, env=dict(os.environ, MODEL_FAULT=str(number)), check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS)
        self.seconds = time.monotonic() - began
        self.text = done.stdout.decode()
        self.errors = int(self.field(r"errors: (\d+)"))
        self.states = int(float(self.field(r"([\d.e+]+) states, (?:stored|visited)")))
        self.megabytes = float(self.field(r"([\d.]+)\s+total actual memory usage"))
        self.complete = "Search not completed" not in self.text and "max search depth too small" not in self.text
        self.violated = re.findall(r"^violated: (.*)$", self.text, re.M)
        if liveness and "non-progress cycle" in self.text and self.errors:
            self.violated.append("goes round for ever")
        self.arrows = {tuple(map(int, arrow)) for arrow in re.findall(r"^arrow (\d+) (\d+) (\d+)$", self.text, re.M)}

    def field(self, pattern):
        found = re.search(pattern, self.text)
        if not found:
            raise RuntimeError("the verifier did not end: " + self.text[-2000:])
        return found.group(1)


def fault_numbers():
    with open(os.path.join(HERE, "leg.pml"), encoding="utf-8") as file:
        return {name: int(number) for name, number in re.findall(r"^#define FAULT_(\w+) (\d+)$", file.read(), re.M)}


def build(folder, kind, options):
    liveness = "LIVENESS" in options.split()
    os.mkdir(folder)
    shutil.copy(os.path.join(HERE, "leg.pml"), folder)
    with open(os.path.join(folder, "steps.pml"), "w", encoding="utf-8") as file:
        file.write(steps.promela(steps.read(LEG_DEF), kind))
    spin, cc = os.environ.get("SPIN", "spin"), os.environ.get("CC", "cc").split()
    said = subprocess.run([spin, "-a", *("-D" + option for option in options.split()), "leg.pml"], cwd=folder,
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()
    if "Error" in said:
        raise RuntimeError(said)
    mode = "-DNP" if liveness else "-DSAFETY"
    subprocess.run([*cc, "-O2", "-w", mode, "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MB}", "-DVECTORSZ=512",
                    "-o", "pan", "pan.c"], cwd=folder, check=True)
    return liveness


def search(folder, name):
    """The configuration as it is, and with each fault that it must notice."""
    kind, options = CONFIGURATIONS[name]
    place = os.path.join(folder, name)
    liveness = build(place, kind, options)
    runs = {None: Run(place, liveness)}
    for fault, where, _ in FAULTS:
        if name in where.split():
            runs[fault] = Run(place, liveness, fault)
    return runs


class Searches(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.runs = {}
        with tempfile.TemporaryDirectory() as folder, \
             concurrent.futures.ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
            waiting = {name: pool.submit(search, folder, name) for name in CONFIGURATIONS}
            for name, future in waiting.items():
                cls.runs[name] = future.result()
        for name, runs in cls.runs.items():
            run = runs[None]
            print(f"{name}: {run.states} states, {run.seconds:.1f} s, {run.megabytes:.0f} MB", flush=True)

    def test_the_arrows_that_the_searches_take_are_those_of_the_table(self):
        legs = steps.read(LEG_DEF)
        events = {name: number for name, (number, _) in legs.events.items()}
        states = {name: number for name, (number, _) in legs.states.items()}
        taken = {(*arrow, steps.KINDS[kind]) for name, (kind, _) in CONFIGURATIONS.items()
                 for arrow in self.runs[name][None].arrows}
        table = {(states[a], events[event], states[b], kind)
                 for a, event, b, kind in legs.arrows() if a in legs.reached(kind)}
        self.assertEqual(taken - table, set(), "the model takes an arrow that leg.def does not have")
        self.assertEqual(table - taken, set(), "leg.def has an arrow that no search has taken")

    def test_every_fault_that_the_model_knows_is_planted(self):
        self.assertEqual(set(fault_numbers()), {fault for fault, _, _ in FAULTS})
        self.assertEqual(len(set(fault_numbers().values())), len(FAULTS))


def holds(name):
    def test(self):
        run = self.runs[name][None]
        self.assertEqual(run.violated, [], run.text[-3000:])
        self.assertEqual(run.errors, 0, run.text[-3000:])
        self.assertTrue(run.complete, run.text[-3000:])
        self.assertGreater(run.states, 1000)
    return test


def is_noticed(name, fault, property_broken):
    def test(self):
        run = self.runs[name][fault]
        self.assertEqual(run.errors, 1, run.text[-3000:])
        self.assertTrue(run.violated and run.violated[-1].startswith(property_broken), (run.violated, run.text[-3000:]))
    return test


for one in CONFIGURATIONS:
    setattr(Searches, f"test_all_holds_while_{one}", holds(one))
for planted, places, broken in FAULTS:
    for one in places.split():
        setattr(Searches, f"test_{planted}_is_noticed_while_{one}", is_noticed(one, planted, broken))

if __name__ == "__main__":
    unittest.main()
