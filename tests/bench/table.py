"""table.py - from raw results to what people read: ratios a round, one table, and whether each goal is reached.

Nothing here measures and nothing here knows a figure: goals are thresholds, everything else comes from the results of a run
(results.json; `rounds`: each with `runs`, `bound` and `depths`; `worth` by carrier). A ratio is taken within one round, between runs
that followed each other, and shown as min / median / max over the rounds.

Durable is a carrier of which a letter that travels alone cost at least one sync and that lost nothing in a kill. Whoever is
not is marked so wherever it stands beside one that is."""
import statistics

POUCH = "pouch"
MARK = "†"
NOT_DURABLE = f"{MARK} acknowledges before anything is synced: a power failure takes what it has acknowledged. Not the same service."
UNKNOWN = "? whether it is durable was not found out in this run"
SYNCED = 0.99  # syncs a letter: one, but for a letter at the edge of what strace saw
PEAK = (4096, 32, 8)
ONE_PAIR = (4096, 1, 64)
ALONE = (4096, 1, 1)


# ---- statistics ------------------------------------------------------------------------------------------------------------

def spread(values):
    """(min, median, max), or None of nothing."""
    values = [value for value in values if value is not None]
    return (min(values), statistics.median(values), max(values)) if values else None


def key(one):
    return one["size"], one["pairs"], one["window"], one.get("percent")


def pick(results, carrier, load, field):
    """A figure in every round: None where the run failed or was not made."""
    load = tuple(load) + (None,) * (4 - len(load))
    found = []
    for one_round in results["rounds"]:
        runs = [one for one in one_round["runs"] if one["carrier"] == carrier and key(one) == load]
        found.append(runs[0].get(field) if runs else None)
    return found


def quotients(above, below):
    """Round by round; None where one is missing."""
    return [a / b if a is not None and b else None for a, b in zip(above, below)]


def bounds(results, size, field):
    return [(one["bound"].get(str(size)) or {}).get(field) for one in results["rounds"]]


def deep(results, depth, load, field):
    found = []
    for one_round in results["rounds"]:
        runs = [one for one in one_round.get("depths", ()) if one["depth"] == depth and key(one)[:3] == tuple(load)]
        found.append(runs[0].get(field) if runs else None)
    return found


def durable(worth):
    """True, False, or None: not found out."""
    if not worth or worth.get("syncs_alone") is None:
        return None
    kill = worth.get("kill")
    if kill and kill["survived"] < kill["acknowledged"]:
        return False
    return worth["syncs_alone"] >= SYNCED


def durability(results, carrier):
    return durable(results.get("worth", {}).get(carrier))


def named(results, carrier):
    """Its name, with the mark if it is none of the durable ones."""
    return carrier + {True: "", False: f" {MARK}", None: " ?"}[durability(results, carrier)]


# ---- words -----------------------------------------------------------------------------------------------------------------

def number(value):
    """Three digits that mean something."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def three(values, form=number):
    """min / median / max; of one value that value."""
    found = spread(values)
    if not found:
        return "-"
    return form(found[1]) if len([value for value in values if value is not None]) == 1 else " / ".join(map(form, found))


def middle(values, form=number):
    found = spread(values)
    return form(found[1]) if found else "-"


def milliseconds(us):
    return number(us / 1000) if us is not None else "-"


def size_name(size):
    return f"{size} B" if size < 1024 else f"{size // 1024} KiB" if size < 1 << 20 else f"{size >> 20} MiB"


def shape_name(pairs, window):
    return f"{pairs} pair{'' if pairs == 1 else 's'}, window {window}"


def survivors(worth):
    kill = worth.get("kill") if worth else None
    if not kill:
        return "-"
    extra = (f", {kill['doubled']} doubled" if kill["doubled"] else "") + ("" if kill["in order"] else ", out of order")
    return f"{kill['survived']:,} of {kill['acknowledged']:,}{extra}"


def grid(head, rows):
    """A table that is read as text and as Markdown. The first column is left-aligned, the others right."""
    widths = [max(len(str(row[at])) for row in [head, *rows]) for at in range(len(head))]

    def line(cells):
        return "| " + " | ".join(str(cell).ljust(width) if at == 0 else str(cell).rjust(width)
                                 for at, (cell, width) in enumerate(zip(cells, widths))) + " |"
    rule = "|" + "|".join("-" * (width + 2) if at == 0 else "-" * (width + 1) + ":" for at, width in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


# ---- tables ----------------------------------------------------------------------------------------------------------------

def loads_of(results, is_open):
    """The loads of the results in the order in which they were put."""
    found = []
    for one_round in results["rounds"]:
        for one in one_round["runs"]:
            if (one.get("percent") is not None) == is_open and key(one) not in found:
                found.append(key(one))
    return found


def in_order(results):
    """The carriers: durable ones first, then those of which it is not known, then those that are not. No rank by speed."""
    place = {True: 0, None: 1, False: 2}
    return sorted(results["carriers"], key=lambda name: (place[durability(results, name)], results["carriers"].index(name)))


def reason(results, carrier, load):
    for one_round in results["rounds"]:
        for one in one_round["runs"]:
            if one["carrier"] == carrier and key(one) == load and "failed" in one:
                return "failed"
    return "-"


def against(results, carrier, ratios):
    """Pouch ÷ it, marked if the two do not do the same."""
    if carrier == POUCH or not spread(ratios):
        return ""
    same = durability(results, carrier) is not None and durability(results, carrier) == durability(results, POUCH)
    return three(ratios) + ("" if same else f" {MARK}" if durability(results, carrier) is False else " ?")


def main_table(results):
    head = ["load and carrier", "letters/s", "Pouch ÷ it", "kept p50 ms", "receipt p50 ms", "receipt p99 ms", "server µs",
            "clients µs", "syncs alone", "syncs many", "survive a kill"]
    rows = []
    for load in loads_of(results, False):
        rows.append([f"{size_name(load[0])}, {shape_name(load[1], load[2])}"] + [""] * (len(head) - 1))
        ours = pick(results, POUCH, load, "per_s")
        for carrier in in_order(results):
            def figure(field, form=number, carrier=carrier, load=load):
                return middle(pick(results, carrier, load, field), form)
            worth = results.get("worth", {}).get(carrier)
            rates = pick(results, carrier, load, "per_s")
            rows.append([f"  {named(results, carrier)}", three(rates) if spread(rates) else reason(results, carrier, load),
                         against(results, carrier, quotients(ours, rates)), figure("kept_p50_us", milliseconds),
                         figure("receipt_p50_us", milliseconds), figure("receipt_p99_us", milliseconds), figure("server_us"),
                         figure("client_us"), number(worth and worth.get("syncs_alone")), number(worth and worth.get("syncs_many")),
                         survivors(worth)])
    return grid(head, rows)


def open_table(results):
    head = ["open loop and carrier", "offered/s", "kept p50 ms", "kept p99 ms", "receipt p50 ms", "receipt p99 ms"]
    rows = []
    for load in loads_of(results, True):
        rows.append([f"{size_name(load[0])}, {load[3]} % of its own peak"] + [""] * (len(head) - 1))
        for carrier in in_order(results):
            fields = ("kept_p50_us", "kept_p99_us", "receipt_p50_us", "receipt_p99_us")
            figures = [three(pick(results, carrier, load, field), milliseconds) for field in fields]
            offered = middle(pick(results, carrier, load, "offered_per_s"))
            rows.append([f"  {named(results, carrier)}", offered if offered != "-" else reason(results, carrier, load), *figures])
    return grid(head, rows) if rows else ""


def depth_table(results):
    head = ["stored legs", "submit and receipt/s (1 pair, window 64)", "kept p50 ms (window 1)", "fetch p50 ms (window 1)", "memory MiB"]
    depths = sorted({one["depth"] for one_round in results["rounds"] for one in one_round.get("depths", ())})
    rows = []
    for depth in depths:
        rows.append([f"{depth:,}", three(deep(results, depth, ONE_PAIR, "per_s")),
                     three(deep(results, depth, ALONE, "kept_p50_us"), milliseconds), three(fetch_times(results, depth), milliseconds),
                     three(deep(results, depth, ONE_PAIR, "server_memory"), lambda octets: number(octets / (1 << 20)))])
    return grid(head, rows) if rows else ""


def fetch_times(results, depth):
    """From the relay's word to the sender until the receipt: offer, acceptance, body and receipt, microseconds."""
    return [receipt - kept if receipt is not None and kept is not None else None
            for receipt, kept in zip(deep(results, depth, ALONE, "receipt_p50_us"), deep(results, depth, ALONE, "kept_p50_us"))]


BOUND_FIELDS = (("relay_us", "relay µs"), ("client_us", "clients µs"), ("letters_per_s", "letters/s the cores allow"),
                ("round_trip_us", "round trip µs"), ("verify_us", "verify µs"), ("commit_us", "commit µs"))


def bound_table(results):
    sizes = sorted({int(size) for one_round in results["rounds"] for size in one_round["bound"]})
    rows = []
    for size in sizes:
        figures = [three(bounds(results, size, field)) for field, _ in BOUND_FIELDS]
        if any(figure != "-" for figure in figures):
            rows.append([size_name(size), *figures])
    return grid(["bound", *(name for _, name in BOUND_FIELDS)], rows) if rows else ""


def notes(results):
    found = []
    kinds = {durability(results, carrier) for carrier in results["carriers"]}
    found += [NOT_DURABLE] if False in kinds else []
    found += [UNKNOWN] if None in kinds else []
    for carrier in in_order(results):
        worth = results.get("worth", {}).get(carrier)
        if worth:
            found.append(f"{named(results, carrier)}: {worth['text']}")
    found += [f"{name}: left out; {why}" for name, why in results.get("skipped", {}).items()]
    return found


def machine_words(results):
    machine, settings = results["machine"], results["settings"]
    others = spread([one.get("others") for one_round in results["rounds"] for one in one_round["runs"]])
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return [f"{machine['cores']} cores ({machine['processor']}), {machine['memory_bytes'] / (1 << 30):.0f} GiB, "
            f"Linux {machine['kernel']}, {machine['file_system']}", packages,
            f"source {machine['commit'] or 'of no known commit'}; {results['begun']}; {len(results['rounds'])} "
            f"round{'' if len(results['rounds']) == 1 else 's'}, {settings['seconds']} s a run"
            + (f"; other work on the machine took {others[1]:.2f} cores (median of the runs; at most {others[2]:.2f})" if others else "")]


def report(results):
    """All tables, as text and Markdown at once."""
    parts = ["\n\n".join(machine_words(results)), main_table(results), open_table(results), bound_table(results),
             depth_table(results), "\n".join(f"- {note}" for note in notes(results))]
    return "\n\n".join(part for part in parts if part) + "\n"


# ---- goals -----------------------------------------------------------------------------------------------------------------

def goal(words, values, least=None, most=None, unit=" ×", why="not measured in this run"):
    """One line of the judgement: the median decides; how many rounds say the same stands beside it."""
    found = spread(values)
    wanted = f"at least {least:g}{unit}" if least is not None else f"at most {most:g}{unit}"
    if not found:
        return {"goal": words, "wanted": wanted, "reached": None, "figure": why}
    fits = (lambda value: value >= least) if least is not None else (lambda value: value <= most)
    values = [value for value in values if value is not None]
    figure = three(values) + unit
    return {"goal": words, "wanted": wanted, "reached": fits(found[1]),
            "figure": f"{figure} ({sum(map(fits, values))} of {len(values)} rounds)"}


def _against(results, load, peers):
    found = []
    for peer, least in peers:
        if peer in results["carriers"]:
            values = quotients(pick(results, POUCH, load, "per_s"), pick(results, peer, load, "per_s"))
        else:
            values = []
        found.append(goal(f"{size_name(load[0])}, {shape_name(*load[1:])}: Pouch ÷ {named(results, peer)}", values, least,
                          why=results.get("skipped", {}).get(peer, "not measured in this run")))
    return found


def _large(results):
    """Large letters, against the fastest of those that are durable and against mosquitto."""
    found = []
    for size in (65536, 1048576):
        for pairs, window in ((1, 64), (32, 8)):
            load = (size, pairs, window)
            peers = [name for name in results["carriers"] if name != POUCH and durability(results, name)]
            rates = {name: spread(pick(results, name, load, "per_s")) for name in peers}
            best = max((name for name in peers if rates[name]), key=lambda name: rates[name][1], default=None)
            if best:
                found += _against(results, load, [(best, 1.0)])
            else:
                found.append(goal(f"{size_name(size)}, {shape_name(pairs, window)}: Pouch ÷ the durable peer", [], 1.0))
            found += _against(results, load, [("mosquitto", 0.8)])
    return found


def _idle_accept(results):
    parts = [bounds(results, 4096, field) for field in ("round_trip_us", "verify_us", "commit_us")]
    sums = [sum(three_of) if None not in three_of else None for three_of in zip(*parts)]
    return quotients(pick(results, POUCH, ALONE, "kept_p50_us"), sums)


def _depths(results):
    found, full = [], any(one["depth"] == 1000000 for one_round in results["rounds"] for one in one_round.get("depths", ()))
    for depth in ((100000, 1000000) if full else (100000,)):
        name = f"{depth:,} stored legs against none"

        def against_none(field, load, depth=depth):
            return quotients(deep(results, depth, load, field), deep(results, 0, load, field))
        found += [goal(f"{name}: submit", against_none("per_s", ONE_PAIR), 0.7),
                  goal(f"{name}: fetch, time", quotients(fetch_times(results, depth), fetch_times(results, 0)), most=1.2),
                  goal(f"{name}: relay's memory", against_none("server_memory", ONE_PAIR), most=1.1)]
    if not full:
        found.append(goal("1,000,000 stored legs against none", [], 0.7, why="not measured: `run --long` does"))
    return found


def _idle_clients(results):
    rounds = (results.get("idle") or {}).get("rounds", [])
    relays, bares = [one["relay"] for one in rounds], [one["bare"] for one in rounds]
    count = (results.get("idle") or {}).get("clients", 10000)
    name, why = f"{count:,} idle clients", "not measured: `run --long` does"
    return [goal(f"{name}: memory each in the relay", [one["gate_rss_kib_each"] for one in relays], most=36, unit=" KiB", why=why),
            goal(f"{name}: processor", [one["cpu_percent"] for one in relays], most=1, unit=" %", why=why),
            goal(f"{name}: all back after a restart, against the bare library",
                 [relay["back"]["all_s"] / bare["back"]["all_s"] for relay, bare in zip(relays, bares)], most=1.2, why=why),
            goal(f"{name}: those already back are served, p99", [one["back"]["p99_ms"] for one in relays], most=250, unit=" ms",
                 why=why)]


def goals(results):
    milli = [value / 1000 if value is not None else None for value in pick(results, POUCH, (4096, 4, 8, 50), "kept_p99_us")]
    return [
        goal("relay's CPU a letter ÷ the sum of the primitives (4 KiB, 32 pairs)",
             quotients(pick(results, POUCH, PEAK, "server_us"), bounds(results, 4096, "relay_us")), most=1.25),
        goal("throughput ÷ what the cores allow with the clients on them (4 KiB, 32 pairs)",
             quotients(pick(results, POUCH, PEAK, "per_s"), bounds(results, 4096, "letters_per_s")), 0.75),
        *_against(results, PEAK, (("mosquitto", 1.25), ("nats", 1.25), ("rabbitmq", 2.5), ("postfix", 50))),
        *_against(results, ONE_PAIR, (("mosquitto", 1.0), ("nats", 1.0), ("rabbitmq", 1.25), ("postfix", 2))),
        *_large(results),
        goal("accepted while idle, p50 ÷ (round trip + verify + commit)", _idle_accept(results), most=1.5),
        goal("accepted at half load, p99, checkpoints running", milli, most=15, unit=" ms"),
        *_depths(results),
        *_idle_clients(results),
        goal("random kills: trials in which nothing is lost, doubled or reordered", [], 1000, unit="",
             why="not this program's: tests/faults, long form"),
    ]


def goals_table(results):
    words = {True: "reached", False: "NOT reached", None: "-"}
    rows = [[one["goal"], one["wanted"], words[one["reached"]], one["figure"]] for one in goals(results)]
    judged = [one["reached"] for one in goals(results) if one["reached"] is not None]
    return (grid(["goal", "wanted", "", "min / median / max"], rows)
            + f"\n\n{sum(judged)} of {len(judged)} goals that were judged are reached, {len(rows) - len(judged)} were not judged.\n")
