"""plot.py - the results as one picture: an SVG written by hand, its colours and its text readable on white and on black.

Three panels of letters a second over the letter's size, one for each shape of load, and one of the time until a letter is kept
under a given part of the peak. Both axes of rates and times are logarithmic. A point is the median of the rounds, its bar
reaches from the least to the most. Who is not durable has a hollow point and a dashed line, here as in the legend."""
import html
import math

import table

COLOURS = {"pouch": "#2f8fd8", "mosquitto": "#d9772b", "nats": "#3fa34d", "rabbitmq": "#c2489b", "postfix": "#a08428"}
SPARE = "#8a6fd1"
INK = "#7d838c"  # four to one and better on both grounds
WIDTH, HEIGHT = 960, 800
PANEL_W, PANEL_H = 380, 240
LEFT, TOP, GAP_X, GAP_Y = 70, 90, 100, 100


def decades(values):
    """The powers of ten that hold all of them: (first, last) exponent, at least one decade."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def tick(exponent, scale=1):
    value = 10.0 ** exponent * scale
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


class Picture:
    def __init__(self):
        self.parts = []

    def text(self, x, y, words, size=12, anchor="start", colour=INK, turn=None, bold=False):
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn is not None else ""
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
                          f'{weight}{turned}>{html.escape(words)}</text>')

    def line(self, x1, y1, x2, y2, colour=INK, width=1.0, dash=None, opacity=1.0):
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
                          f'stroke-width="{width}" stroke-opacity="{opacity}"{dashed}/>')

    def point(self, x, y, colour, hollow, words):
        fill = "none" if hollow else colour
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{fill}" stroke="{colour}" stroke-width="2">'
                          f'<title>{html.escape(words)}</title></circle>')

    def whole(self):
        body = "\n".join(self.parts)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
                f'role="img" font-family="sans-serif">\n<title>Letters a second and time until kept, by carrier</title>\n'
                f'{body}\n</svg>\n')


class Panel:
    """Axes: names along x, a logarithmic y. series: {carrier: [(min, median, max) or None for each name]}."""

    def __init__(self, picture, place, title, names, x_title, y_title):
        self.picture, self.names = picture, names
        self.x0 = LEFT + place % 2 * (PANEL_W + GAP_X)
        self.y0 = TOP + place // 2 * (PANEL_H + GAP_Y)
        picture.text(self.x0, self.y0 - 12, title, 14, bold=True)
        picture.text(self.x0 + PANEL_W / 2, self.y0 + PANEL_H + 38, x_title, 12, "middle")
        picture.text(self.x0 - 54, self.y0 + PANEL_H / 2, y_title, 12, "middle", turn=-90)

    def _x(self, at, beside):
        return self.x0 + PANEL_W * (at + 0.5) / len(self.names) + beside

    def _y(self, value):
        return self.y0 + PANEL_H * (1 - (math.log10(value) - self.low) / (self.high - self.low))

    def axes(self, values):
        self.low, self.high = decades(values)
        for exponent in range(self.low, self.high + 1):
            y = self._y(10.0 ** exponent)
            self.picture.line(self.x0, y, self.x0 + PANEL_W, y, opacity=0.35)
            self.picture.text(self.x0 - 8, y + 4, tick(exponent), 11, "end")
        for at, name in enumerate(self.names):
            self.picture.text(self._x(at, 0), self.y0 + PANEL_H + 18, name, 12, "middle")

    def draw(self, series, results, unit):
        values = [value for points in series.values() for point in points if point for value in point if value > 0]
        if not values:
            self.picture.text(self.x0 + PANEL_W / 2, self.y0 + PANEL_H / 2, "not measured", 12, "middle")
            return
        self.axes(values)
        for order, (carrier, points) in enumerate(series.items()):
            beside = (order - (len(series) - 1) / 2) * 7
            self._series(carrier, points, beside, table.durability(results, carrier) is not True, unit)

    def _series(self, carrier, points, beside, hollow, unit):
        colour, before = COLOURS.get(carrier, SPARE), None
        for at, point in enumerate(points):
            if not point or point[0] <= 0:
                before = None
                continue
            x, (low, mid, high) = self._x(at, beside), map(self._y, point)
            if before:
                self.picture.line(*before, x, mid, colour, 1.5, "5 4" if hollow else None, 0.75)
            self.picture.line(x, low, x, high, colour, 2)
            words = " / ".join(map(table.number, point))
            self.picture.point(x, mid, colour, hollow, f"{carrier}, {self.names[at]}: {words} {unit}")
            before = (x, mid)


def legend(picture, results):
    """Two lines at most: a carrier's name takes as much room as it is long."""
    x, y = LEFT, 50
    for carrier in table.in_order(results):
        kind = table.durability(results, carrier)
        words = carrier + {True: "", False: " (not durable)", None: " (durability not measured)"}[kind]
        need = 34 + 7 * len(words)
        if x + need > WIDTH - 20:
            x, y = LEFT, y + 18
        colour = COLOURS.get(carrier, SPARE)
        picture.line(x - 8, y - 4, x + 8, y - 4, colour, 1.5, "5 4" if kind is not True else None)
        picture.point(x, y - 4, colour, kind is not True, carrier)
        picture.text(x + 13, y, words, 12)
        x += need


def draw(results):
    """The SVG's text."""
    picture = Picture()
    rounds = len(results["rounds"])
    picture.text(LEFT, 26, f"Sealed letters with signed receipts; median, least and most of {rounds} "
                 f"round{'' if rounds == 1 else 's'}; {results['machine']['cores']} cores", 15, bold=True)
    legend(picture, results)
    carriers = table.in_order(results)
    closed = table.loads_of(results, False)
    sizes = sorted({load[0] for load in closed})
    shapes = list(dict.fromkeys(load[1:3] for load in closed))[:3]
    for place, shape in enumerate(shapes):
        panel = Panel(picture, place, table.shape_name(*shape), list(map(table.size_name, sizes)), "size of the letter",
                      "letters a second")
        series = {name: [table.spread(table.pick(results, name, (size, *shape), "per_s")) for size in sizes] for name in carriers}
        panel.draw(series, results, "letters/s")
    loads = table.loads_of(results, True)
    panel = Panel(picture, 3, "open loop, 4 KiB: until kept, p50 and p99", [f"{load[3]} %, {which}" for load in loads
                                                                            for which in ("p50", "p99")] or ["-"],
                  "part of the carrier's own peak", "milliseconds")
    series = {name: [_milliseconds(table.spread(table.pick(results, name, load, f"kept_{which}_us")))
                     for load in loads for which in ("p50", "p99")] for name in carriers}
    panel.draw(series, results, "ms")
    return picture.whole()


def _milliseconds(point):
    return tuple(value / 1000 for value in point) if point else None
