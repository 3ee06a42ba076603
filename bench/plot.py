"""Two curves over counts, as SVG; two panels fit a page of documentation side by side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log10

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 440, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 30, 46, 62
_COLOURS = ("#0969da", "#bc4c00")
_MARKS = ("circle", "square")
"""Of the first curve and the second: there is no third."""

_STYLE = """\
text { font: 13px sans-serif; fill: #24292f }
.title { font-weight: bold }
.grid { stroke: #d0d7de }
.axis { stroke: #57606a }
.curve { fill: none; stroke-width: 2 }"""


@dataclass(frozen=True)
class Panel:
    """Curves by name over a logarithmic axis of counts.

    ``ticks`` of the vertical axis go from its lower to its upper end; it is logarithmic too if
    ``logarithmic``. What the curves are called stands in the left corner above them or below.
    """

    title: str
    below: str
    beside: str
    curves: Mapping[str, Points]
    ticks: Sequence[float]
    logarithmic: bool = False
    legend_below: bool = False


def render_svg(panels: Sequence[Panel]) -> str:
    """Return a picture of panels side by side, each curve in the same colour everywhere."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.curves))
    width = _WIDTH * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" '
        f'width="{width}" height="{_HEIGHT}">',
        f"<style>\n{_STYLE}\n</style>",
        f'<rect width="{width}" height="{_HEIGHT}" fill="white"/>',
    ]
    for index, panel in enumerate(panels):
        parts += [f'<g transform="translate({index * _WIDTH} 0)">', *_render(panel, names), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _render(panel: Panel, names: Sequence[str]) -> list[str]:
    counts = sorted({count for points in panel.curves.values() for count, _ in points})
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    x = _scale(counts[0], counts[-1], _LEFT, right, logarithmic=True)
    y = _scale(panel.ticks[0], panel.ticks[-1], bottom, _TOP, logarithmic=panel.logarithmic)
    parts = [_text(_LEFT, 24, panel.title, "title")]
    for tick in panel.ticks:
        parts.append(_line((_LEFT, y(tick)), (right, y(tick)), "grid"))
        parts.append(_text(_LEFT - 8, y(tick) + 4, f"{tick:g}", anchor="end"))
    for count in counts:
        parts.append(_line((x(count), _TOP), (x(count), bottom), "grid"))
        parts.append(_text(x(count), bottom + 19, f"{count:,g}", anchor="middle"))
    parts.append(_line((_LEFT, bottom), (right, bottom), "axis"))
    parts.append(_line((_LEFT, _TOP), (_LEFT, bottom), "axis"))
    middle = (_LEFT + right) / 2
    parts.append(_text(middle, bottom + 42, panel.below, anchor="middle"))
    parts.append(
        f'<g transform="translate(18 {(_TOP + bottom) / 2:g}) rotate(-90)">'
        f"{_text(0, 0, panel.beside, anchor='middle')}</g>"
    )
    for name, points in panel.curves.items():
        place = names.index(name)
        curve = [(x(count), y(value)) for count, value in points]
        parts += _render_curve(curve, _COLOURS[place], _MARKS[place])
        line = _TOP + 18 + 19 * place
        if panel.legend_below:
            line = bottom - 10 - 19 * (len(names) - 1 - place)
        parts.append(_mark(_MARKS[place], _LEFT + 16, line - 4, _COLOURS[place]))
        parts.append(_text(_LEFT + 27, line, name))
    return parts


def _render_curve(points: Points, colour: str, mark: str) -> list[str]:
    path = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
    parts = [f'<polyline class="curve" stroke="{colour}" points="{path}"/>']
    return parts + [_mark(mark, across, down, colour) for across, down in points]


def _scale(
    low: float, high: float, start: float, end: float, *, logarithmic: bool
) -> Callable[[float], float]:
    """Return what places a value between two ends of a picture."""

    def place(value: float) -> float:
        if logarithmic:
            share = (log10(value) - log10(low)) / (log10(high) - log10(low))
        else:
            share = (value - low) / (high - low)
        return start + share * (end - start)

    return place


def _mark(kind: str, across: float, down: float, colour: str) -> str:
    if kind == "circle":
        return f'<circle cx="{across:.1f}" cy="{down:.1f}" r="4" fill="{colour}"/>'
    return f'<rect x="{across - 4:.1f}" y="{down - 4:.1f}" width="8" height="8" fill="{colour}"/>'


def _line(start: tuple[float, float], end: tuple[float, float], kind: str) -> str:
    ends = f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
    return f'<line class="{kind}" {ends}/>'


def _text(across: float, down: float, text: str, kind: str = "", anchor: str = "start") -> str:
    shown = text.replace("&", "&amp;").replace("<", "&lt;")
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{across:.1f}" y="{down:.1f}" text-anchor="{anchor}">{shown}</text>'
