"""test_table.py - the benchmark's arithmetic and its words, on results made up here: nothing is measured."""
import pathlib
import re
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from importlib import machinery, util

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import plot  # noqa: E402  pylint: disable=wrong-import-position
import rounds  # noqa: E402  pylint: disable=wrong-import-position
import table  # noqa: E402  pylint: disable=wrong-import-position

FOUR = (4096, 32, 8)
WORTH = {"pouch": {"text": "synced", "syncs_alone": 3.0, "syncs_many": 0.2,
                   "kill": {"acknowledged": 1000, "survived": 1000, "doubled": 0, "in order": True}},
         "rabbitmq": {"text": "synced too", "syncs_alone": 2.0, "syncs_many": 0.1},
         "mosquitto": {"text": "in memory", "syncs_alone": 0.0, "syncs_many": 0.0,
                       "kill": {"acknowledged": 1000, "survived": 0, "doubled": 0, "in order": True}}}


def one_run(carrier, per_s, load=FOUR, percent=None, **more):
    size, pairs, window = load
    return {"carrier": carrier, "size": size, "pairs": pairs, "window": window, "percent": percent, "per_s": per_s,
            "kept_p50_us": 1000, "kept_p99_us": 9000, "receipt_p50_us": 2000, "receipt_p99_us": 20000, "server_us": 200,
            "client_us": 300, "server_memory": 1 << 20, "offered_per_s": None, "others": 0.5, **more}


def results_of(*rounds_runs, worth=None, **more):
    names = list(dict.fromkeys(one["carrier"] for runs in rounds_runs for one in runs))
    return {"begun": "some day", "carriers": names, "skipped": {}, "worth": WORTH if worth is None else worth,
            "settings": {"seconds": 4, "rounds": len(rounds_runs)},
            "machine": {"cores": 2, "processor": "p", "memory_bytes": 1 << 30, "kernel": "k", "file_system": "ext4", "packages": {},
                        "commit": ""},
            "rounds": [{"runs": list(runs), "bound": {}, "depths": []} for runs in rounds_runs], **more}


def the_goal(results, words):
    """The one that begins so."""
    found = [one for one in table.goals(results) if one["goal"].startswith(words)]
    assert len(found) == 1, [one["goal"] for one in table.goals(results)]
    return found[0]


def load_run():
    loader = machinery.SourceFileLoader("bench_run", str(HERE / "run"))
    module = util.module_from_spec(util.spec_from_loader("bench_run", loader))
    loader.exec_module(module)
    return module


class Statistics(unittest.TestCase):
    def test_spread_is_least_median_and_most_of_what_there_is(self):
        self.assertEqual(table.spread([5, None, 1, 3]), (1, 3, 5))
        self.assertEqual(table.spread([1, 2, 3, 10]), (1, 2.5, 10))
        self.assertIsNone(table.spread([None, None]))

    def test_ratio_is_taken_within_a_round_not_between_medians(self):
        """The machine was four times slower in the second round, for both."""
        results = results_of([one_run("pouch", 400), one_run("nats", 200)], [one_run("pouch", 100), one_run("nats", 50)],
                             [one_run("pouch", 900), one_run("nats", 300)])
        ratios = table.quotients(table.pick(results, "pouch", FOUR, "per_s"), table.pick(results, "nats", FOUR, "per_s"))
        self.assertEqual(ratios, [2, 2, 3])
        self.assertEqual(table.spread(ratios), (2, 2, 3))

    def test_failed_run_has_no_ratio_and_spoils_no_other(self):
        failed = {"carrier": "nats", "size": 4096, "pairs": 32, "window": 8, "percent": None, "failed": "why"}
        results = results_of([one_run("pouch", 400), failed], [one_run("pouch", 100), one_run("nats", 50)])
        ratios = table.quotients(table.pick(results, "pouch", FOUR, "per_s"), table.pick(results, "nats", FOUR, "per_s"))
        self.assertEqual(ratios, [None, 2])

    def test_open_loop_run_is_not_taken_for_the_closed_one_of_the_same_shape(self):
        results = results_of([one_run("pouch", 50, percent=50), one_run("pouch", 100)])
        self.assertEqual(table.pick(results, "pouch", FOUR, "per_s"), [100])
        self.assertEqual(table.pick(results, "pouch", (*FOUR, 50), "per_s"), [50])

    def test_percentile_is_a_value_that_occurred(self):
        self.assertEqual(rounds.percentile(range(1, 101), 99), 99)
        self.assertEqual(rounds.percentile([7, 1, 4], 50), 4)
        self.assertEqual(rounds.percentile([7, 1], 100), 7)
        self.assertIsNone(rounds.percentile([], 50))

    def test_times_of_several_senders_are_put_together_before_the_percentile(self):
        one, other = rounds.array.array("I", [1] * 90), rounds.array.array("I", [50] * 10)
        times = rounds._times([(one, one), (other, other)])
        self.assertEqual((times["kept_p50_us"], times["kept_p99_us"], times["receipt_p100_us"]), (1, 50, 50))

    def test_samples_are_read_as_the_driver_writes_them(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "samples"
            path.write_bytes(rounds.struct.pack("=QQIIIII", 2, 3, 10, 20, 1, 2, 3))
            kept, done = rounds._read_samples(path)
        self.assertEqual((list(kept), list(done)), ([10, 20], [1, 2, 3]))

    def test_pace_keeps_the_whole_rate_with_fewer_pairs_when_it_is_low(self):
        load = rounds.Load(4096, 4, 8, 50)
        self.assertEqual(rounds._pace(load, 1000), (4, 250))
        self.assertEqual(rounds._pace(load, 2.6), (3, 1))
        self.assertEqual(rounds._pace(load, 0.2), (1, 1))

    def test_everybody_is_first_in_turn(self):
        names = ["a", "b", "c"]
        self.assertEqual({tuple(rounds.rotated(names, by)) for by in range(6)}, {("a", "b", "c"), ("b", "c", "a"), ("c", "a", "b")})
        self.assertEqual(rounds.rotated([], 3), [])

    def test_calls_that_strace_counted_are_added_with_and_without_errors(self):
        text = ("% time     seconds  usecs/call     calls    errors syscall\n------ ----------- ----------- --------- --------- ----\n"
                " 75.00    0.030000         300       100           fdatasync\n 25.00    0.010000        1000        10         2 fsync\n"
                "------ ----------- ----------- --------- --------- ----------------\n100.00    0.040000         363       110         2 total\n")
        self.assertEqual(rounds.count_calls(text), 110)
        self.assertEqual(rounds.count_calls(""), 0)


class Durability(unittest.TestCase):
    def test_durable_is_who_syncs_for_each_letter_and_loses_none(self):
        self.assertTrue(table.durable(WORTH["pouch"]))
        self.assertTrue(table.durable(WORTH["rabbitmq"]))
        self.assertIs(table.durable(WORTH["mosquitto"]), False)

    def test_who_loses_a_message_in_a_kill_is_not_durable_however_much_it_syncs(self):
        lossy = {**WORTH["pouch"], "kill": {"acknowledged": 1000, "survived": 999, "doubled": 0, "in order": True}}
        self.assertIs(table.durable(lossy), False)

    def test_what_was_not_measured_is_neither(self):
        for worth in (None, {}, {"text": "claims to be", "failed": "no strace"}):
            self.assertIsNone(table.durable(worth))

    def test_who_is_not_durable_is_marked_in_every_row_and_in_every_ratio(self):
        text = table.report(results_of([one_run("mosquitto", 900), one_run("pouch", 300), one_run("rabbitmq", 100)]))
        rows = [line for line in text.splitlines() if line.startswith("|") and "mosquitto" in line]
        self.assertTrue(rows)
        for row in rows:
            self.assertIn(f"mosquitto {table.MARK}", row)
            self.assertIn(f"0.33 {table.MARK}", row)
        self.assertIn(table.NOT_DURABLE, text)
        self.assertNotIn(table.MARK, next(line for line in text.splitlines() if "  rabbitmq" in line))

    def test_durable_carriers_stand_first_and_none_is_ranked_by_its_speed(self):
        runs = [one_run("mosquitto", 900), one_run("pouch", 300), one_run("nats", 500), one_run("rabbitmq", 1000)]
        self.assertEqual(table.in_order(results_of(runs)), ["pouch", "rabbitmq", "nats", "mosquitto"])

    def test_goal_against_a_carrier_that_is_not_durable_says_so(self):
        results = results_of([one_run("pouch", 300), one_run("mosquitto", 200)])
        self.assertIn(f"mosquitto {table.MARK}", the_goal(results, "4 KiB, 32 pairs, window 8: Pouch ÷ mosquitto")["goal"])

    def test_large_letters_are_held_against_the_fastest_durable_peer(self):
        load = (65536, 32, 8)
        results = results_of([one_run("pouch", 100, load), one_run("mosquitto", 400, load), one_run("rabbitmq", 80, load),
                              one_run("postfix", 10, load)], worth={**WORTH, "postfix": WORTH["rabbitmq"]})
        self.assertTrue(the_goal(results, "64 KiB, 32 pairs, window 8: Pouch ÷ rabbitmq")["reached"])
        self.assertIs(the_goal(results, "64 KiB, 32 pairs, window 8: Pouch ÷ mosquitto")["reached"], False)


class Goals(unittest.TestCase):
    def test_median_decides_and_the_rounds_are_counted(self):
        results = results_of(*([one_run("pouch", rate), one_run("nats", 100)] for rate in (100, 130, 140)))
        found = the_goal(results, "4 KiB, 32 pairs, window 8: Pouch ÷ nats")
        self.assertTrue(found["reached"])
        self.assertEqual(found["figure"], "1.00 / 1.30 / 1.40 × (2 of 3 rounds)")

    def test_goal_that_is_missed_is_said_to_be_missed(self):
        results = results_of([one_run("pouch", 124), one_run("nats", 100)])
        self.assertIs(the_goal(results, "4 KiB, 32 pairs, window 8: Pouch ÷ nats")["reached"], False)
        self.assertIn("NOT reached", table.goals_table(results))

    def test_what_was_not_measured_is_neither_reached_nor_missed(self):
        results = results_of([one_run("pouch", 124)])
        self.assertIsNone(the_goal(results, "4 KiB, 32 pairs, window 8: Pouch ÷ postfix")["reached"])
        self.assertIsNone(the_goal(results, "relay's CPU a letter")["reached"])
        self.assertIsNone(the_goal(results, "random kills")["reached"])

    def test_relay_is_held_against_the_bound_of_its_own_round(self):
        results = results_of([one_run("pouch", 800, server_us=240)], [one_run("pouch", 400, server_us=480)])
        results["rounds"][0]["bound"] = {"4096": {"relay_us": 200, "letters_per_s": 1000}}
        results["rounds"][1]["bound"] = {"4096": {"relay_us": 400, "letters_per_s": 500}}
        cpu, rate = the_goal(results, "relay's CPU a letter"), the_goal(results, "throughput ÷ what the cores allow")
        self.assertEqual((cpu["reached"], cpu["figure"]), (True, "1.20 / 1.20 / 1.20 × (2 of 2 rounds)"))
        self.assertEqual((rate["reached"], rate["figure"]), (True, "0.80 / 0.80 / 0.80 × (2 of 2 rounds)"))

    def test_bound_that_failed_judges_nothing(self):
        results = results_of([one_run("pouch", 800)])
        results["rounds"][0]["bound"] = {"4096": {"size": 4096, "failed": "why"}}
        self.assertIsNone(the_goal(results, "throughput ÷ what the cores allow")["reached"])

    def test_idle_acceptance_is_held_against_the_sum_of_three(self):
        results = results_of([one_run("pouch", 1, (4096, 1, 1), kept_p50_us=900)])
        results["rounds"][0]["bound"] = {"4096": {"round_trip_us": 100, "verify_us": 100, "commit_us": 400}}
        self.assertEqual(the_goal(results, "accepted while idle")["figure"], "1.50 × (1 of 1 rounds)")

    def test_depth_is_held_against_none_of_the_same_round(self):
        results = results_of([one_run("pouch", 1)])
        results["rounds"][0]["depths"] = [
            {**one_run("pouch", rate, load, receipt_p50_us=receipt, server_memory=memory), "depth": depth}
            for depth, rate, receipt, memory in ((0, 1000, 2000, 100), (100000, 650, 2100, 105))
            for load in ((4096, 1, 1), (4096, 1, 64))]
        self.assertIs(the_goal(results, "100,000 stored legs against none: submit")["reached"], False)
        self.assertTrue(the_goal(results, "100,000 stored legs against none: fetch")["reached"])
        self.assertTrue(the_goal(results, "100,000 stored legs against none: relay's memory")["reached"])
        self.assertIsNone(the_goal(results, "1,000,000 stored legs")["reached"])

    def test_at_most_is_reached_from_below(self):
        self.assertTrue(table.goal("g", [14.9], most=15)["reached"])
        self.assertIs(table.goal("g", [15.1], most=15)["reached"], False)


class Words(unittest.TestCase):
    def test_columns_of_a_table_stand_under_each_other(self):
        lines = table.grid(["name", "x"], [["a", 1], ["long name", 1000]]).splitlines()
        self.assertEqual(len({len(line) for line in lines}), 1)
        self.assertEqual(lines[2], "| a         |    1 |")
        self.assertRegex(lines[1], r"^\|-+\|-+:\|$")

    def test_numbers_keep_three_digits(self):
        self.assertEqual([table.number(value) for value in (0.123, 1.5, 12.34, 123.4, 12345.6, None)],
                         ["0.12", "1.50", "12.3", "123", "12,346", "-"])

    def test_failed_run_is_named_in_the_table(self):
        failed = {"carrier": "nats", "size": 4096, "pairs": 32, "window": 8, "percent": None, "failed": "why"}
        text = table.main_table(results_of([one_run("pouch", 400), failed]))
        self.assertRegex(text, r"nats.*failed")

    def test_who_is_left_out_is_named_with_the_reason(self):
        self.assertIn("postfix: left out; not installed", table.report(results_of([one_run("pouch", 1)],
                                                                                  skipped={"postfix": "not installed"})))

    def test_only_what_stands_between_the_marks_is_replaced(self):
        run = load_run()
        with tempfile.TemporaryDirectory() as folder:
            run.README, run.PICTURE = pathlib.Path(folder) / "README.md", pathlib.Path(folder) / "plot.svg"
            run.README.write_text(f"above\n{run.BEGIN}\nold figures\n{run.END}\nbelow\n")
            for _ in range(2):
                run.record(results_of([one_run("pouch", 400)]))
            text = run.README.read_text()
            self.assertTrue(run.PICTURE.exists())
        self.assertTrue(text.startswith(f"above\n{run.BEGIN}\n") and text.endswith(f"{run.END}\nbelow\n"))
        self.assertNotIn("old figures", text)
        self.assertEqual(text.count("goals that were judged"), 1)

    def test_documentation_has_the_marks(self):
        run = load_run()
        text = (HERE / "README.md").read_text()
        self.assertEqual((text.count(run.BEGIN), text.count(run.END)), (1, 1))


class Plot(unittest.TestCase):
    def setUp(self):
        runs = [one_run(name, rate, (size, pairs, window)) for name, rate in (("pouch", 300), ("mosquitto", 900), ("new <one>", 5))
                for size in (256, 4096) for pairs, window in ((1, 1), (1, 64), (32, 8))]
        self.text = plot.draw(results_of(runs + [one_run("pouch", 100, (4096, 4, 8), percent=50)]))
        self.root = xml.etree.ElementTree.fromstring(self.text)

    def all(self, name):
        return self.root.iter(f"{{http://www.w3.org/2000/svg}}{name}")

    def test_it_is_well_formed_and_nothing_leaves_the_picture(self):
        for name, fields in (("line", ("x1", "x2")), ("circle", ("cx",)), ("text", ("x",))):
            for element in self.all(name):
                for field in fields:
                    self.assertTrue(0 <= float(element.get(field)) <= plot.WIDTH, f"{name} {element.attrib}")
        for element in self.all("circle"):
            self.assertTrue(0 <= float(element.get("cy")) <= plot.HEIGHT, element.attrib)

    def test_axes_name_their_units_and_every_carrier_is_in_the_legend(self):
        words = [element.text for element in self.all("text")]
        for wanted in ("letters a second", "milliseconds", "size of the letter", "4 KiB", "mosquitto (not durable)", "pouch",
                       "new <one> (durability not measured)"):
            self.assertIn(wanted, words)

    def test_points_of_who_is_not_durable_are_hollow(self):
        fills = {element[0].text.partition(",")[0]: element.get("fill") for element in self.all("circle") if "," in element[0].text}
        self.assertEqual((fills["mosquitto"], fills["new <one>"]), ("none", "none"))
        self.assertNotEqual(fills["pouch"], "none")

    def test_more_is_higher(self):
        heights = {}
        for element in self.all("circle"):
            if ", 4 KiB:" in element[0].text:
                heights.setdefault(element[0].text.partition(",")[0], float(element.get("cy")))
        self.assertLess(heights["mosquitto"], heights["pouch"])
        self.assertLess(heights["pouch"], heights["new <one>"])

    def test_ink_is_read_on_white_and_on_black(self):
        def brightness(colour):
            parts = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
            linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        for colour in set(re.findall(r'fill="(#[0-9a-f]{6})"', self.text)) | set(plot.COLOURS.values()):
            light = brightness(colour)
            self.assertGreaterEqual(min(1.05 / (light + 0.05), (light + 0.05) / 0.05), 3, colour)

    def test_results_without_figures_make_a_picture_all_the_same(self):
        failed = {"carrier": "pouch", "size": 4096, "pairs": 1, "window": 1, "percent": None, "failed": "why"}
        self.assertIn("not measured", plot.draw(results_of([failed])))


if __name__ == "__main__":
    unittest.main()
