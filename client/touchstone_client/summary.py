"""The result of a submission as Markdown, as CI services show it on a job's page.

Whatever comes from the server, from a participant or from a repository is foreign: it is written so that it stays text
in Markdown, in tables and in HTML, mentions nobody and links nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from touchstone_client.board_types import BoardRow, Score, Standing
from touchstone_client.errors import ClientError
from touchstone_client.figures import number
from touchstone_client.types import MetricValue, Results, Submission

#: What is shown without a click where no leaderboard names the results that matter.
_FEW = 5
_MOST = 200
_LONGEST = 400
#: After these, what follows may be taken for a name, a number or an address. An invisible joiner keeps it apart.
_CALLING = frozenset("@#!~%$:")
_JOINER = "&#8288;"
_BETTER = {"maximise": "higher", "minimise": "lower", "zero": "nearer to 0", "one": "nearer to 1"}
_MINUS = "\N{MINUS SIGN}"
_NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class Judged:
    """A threshold, what was measured, and whether that passes. `text` says it in a sentence where it does not."""

    key: str
    wanted: str
    measured: str
    passed: bool
    text: str = ""


@dataclass(frozen=True)
class Origin:
    """What a job was run for, as the CI service says. `verified`: its token said so to the server."""

    commit: str = ""
    repository: str = ""
    ref: str = ""
    job_url: str = ""
    verified: bool = False


def job_summary(
    *,
    submission: Submission,
    results: Results | None,
    board_row: Standing | None,
    previous_best: BoardRow | None,
    url: str,
    thresholds: Sequence[Judged] = (),
    origin: Origin | None = None,
) -> str:
    """Markdown about a submission: state, rank, results with intervals, change, thresholds, or why it failed.

    `board_row`: how one stands now; `previous_best`: one's row of that leaderboard before; `url`: the submission's
    page.
    """
    parts = [f"## Touchstone: {text(f'{submission.competition}/{submission.phase}')}", _state(submission)]
    if submission.status == "scored" and results is not None:
        if board_row is not None:
            parts.append(_rank(submission, board_row))
        parts += _tables(submission, results, board_row, previous_best)
    elif submission.final:
        parts.append(_explained(submission))
    if thresholds:
        parts.append(_thresholds(thresholds))
    parts.append(_facts(submission, url, origin))
    return "\n\n".join(part for part in parts if part) + "\n"


def refusal_summary(*, target: str, error: ClientError) -> str:
    """Markdown about a submission that was never made: what happened, why, and the next step."""
    lines = [f"- **{name}:** {text(value)}" for name, value in (("Why", error.why), ("Next", error.hint)) if value]
    lines += [f"- {text(detail.message)}" for detail in error.details[:20]]
    if error.request_id:
        lines.append(f"- **Request id:** {text(error.request_id)}")
    parts = [f"## Touchstone: {text(target)}", f"**Not submitted.** {text(error.message)}", "\n".join(lines)]
    return "\n\n".join(part for part in parts if part) + "\n"


def text(value: object, *, longest: int = _LONGEST) -> str:
    """Foreign text as one line of Markdown that says just that."""
    shown = " ".join(str(value).split())
    if len(shown) > longest:
        shown = f"{shown[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"
    return "".join(_characters(shown))


def _characters(shown: str) -> Iterator[str]:
    for place, char in enumerate(shown):
        if not char.isprintable():
            yield "\N{REPLACEMENT CHARACTER}"
        elif char.isalnum() or char in " ,;" or not char.isascii():
            yield char
        elif char in "-/" and 0 < place < len(shown) - 1 and (shown[place - 1] + shown[place + 1]).isalnum():
            yield char  # within a word they mean nothing, and every name has them
        else:
            yield f"&#{ord(char)};" + (_JOINER if char in _CALLING else "")


def link(label: str, address: str) -> str:
    """A link where the address is one of the web, else text. `label` is Markdown already."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return label
    return f"[{label}]({quote(address, safe='/:?=&#%@,;+~._-')})"


def _state(found: Submission) -> str:
    if found.status == "scored":
        return "**Scored.**"
    if found.final:
        reason = found.verdict or found.code
        return f"**Not scored: {text(found.status)}{f' ({text(reason)})' if reason else ''}.**"
    place = f", place {found.queue_position} in the queue" if found.queue_position else ""
    return f"**Not ended yet: {text(found.status)}{place}.** The wait is over, the run goes on."


def _rank(found: Submission, standing: Standing) -> str:
    row = standing.row
    board = link(text(standing.leaderboard), standing.url)
    whose = "" if row.submission == found.id else "This submission is not your best; your best one stays. "
    if row.rank is None:
        return f"{whose}Not ranked on {board}{f': {text(row.unranked)}' if row.unranked else ''}."
    of = f"more than {standing.total}" if standing.total_is_least else str(standing.total)
    place = f"**Rank {row.rank}** of {of} on {board}"
    if row.rank_best is None or row.rank_worst is None or row.rank_best == row.rank_worst:
        return f"{whose}{place}."
    tied = _tied(standing)
    return f"{whose}{place}; by its interval between **{row.rank_best} and {row.rank_worst}**{tied}."


def _tied(standing: Standing) -> str:
    count = standing.row.tied_with or 0
    named = [text(name, longest=60) for name in standing.tied[:3]]
    others = count - len(named)
    if not named:
        return f", tied with {_counted(count)}" if count else ""
    return f", tied with {', '.join(named)}{f' and {_counted(others)}' if others > 0 else ''}"


def _counted(number: int) -> str:
    return "1 other" if number == 1 else f"{number} others"


def _tables(submission: Submission, results: Results, standing: Standing | None, before: BoardRow | None) -> list[str]:
    by_key = {item.key: item for item in results.items}
    columns = standing.columns if standing is not None else ()
    if standing is not None and standing.row.submission == submission.id:
        by_key |= _of_the_board(standing, by_key)
    titles = {column.key: column.title for column in columns}
    main = [by_key[column.key] for column in columns if column.key in by_key] or list(results.items[:_FEW])
    others = [item for item in results.items if item not in main]
    parts = [text(results.note) if results.note else "", _table(main, titles, before)]
    if others:
        head = f"{len(others)} more result{'s' if len(others) > 1 else ''}"
        parts.append(f"<details><summary>{head}</summary>\n\n{_table(others, {}, None)}\n\n</details>")
    return parts


def _of_the_board(standing: Standing, known: Mapping[str, MetricValue]) -> dict[str, MetricValue]:
    """What the leaderboard makes of several results, such as trust, as a result."""
    made = {}
    for column in standing.columns:
        score = standing.row.scores.get(column.key)
        if score is not None and column.key not in known:
            made[column.key] = MetricValue(
                column.key, column.title, column.key, "", score.value, column.direction, score.state, low=score.low,
                high=score.high, n=score.n, unit=column.unit, reason=score.reason,
            )  # fmt: skip
    return made


def _titled(item: MetricValue, titles: Mapping[str, str]) -> str:
    """Its title, with what tells it from others of the same metric."""
    title = titles.get(item.key) or item.title or item.key
    part = item.key.partition("[")[2].removesuffix("]")
    told = title if item.key in titles or not part else f"{title} ({part})"
    return f"{text(told)}{f' ({text(item.unit)})' if item.unit else ''}"


def _table(items: Sequence[MetricValue], titles: Mapping[str, str], before: BoardRow | None) -> str:
    if not items:
        return ""
    head, rule = "| Result | Value | 95 % interval | Better is |", "|---|---:|---|---|"
    if before is not None:
        head, rule = f"{head} Best before | Change |", f"{rule}---:|---|"
    rows = []
    for item in items[:_MOST]:
        cells = [
            _titled(item, titles),
            _valued(item),
            _between(item.low, item.high),
            _BETTER.get(item.direction, _NONE),
        ]
        if before is not None:
            cells += _against(item, before.scores.get(item.key))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([head, rule, *rows])


def _valued(item: MetricValue) -> str:
    if item.value is None:
        return f"{_NONE} ({text(item.reason or item.state)})"
    return _number(item.value) + (f" {text(item.verdict)}" if item.verdict not in ("", "sound") else "")


def _against(item: MetricValue, before: Score | None) -> list[str]:
    """The value before and the difference, with no claim but whether the intervals overlap."""
    if before is None or before.value is None or item.value is None:
        return [_NONE, _NONE]
    return [_number(before.value), f"{_signed(item.value - before.value)}, {_overlap(item, before)}"]


def _overlap(item: MetricValue, before: Score) -> str:
    if item.low is None or item.high is None or before.low is None or before.high is None:
        return "intervals not known"
    return f"intervals {'overlap' if item.low <= before.high and before.low <= item.high else 'do not overlap'}"


def _number(value: float) -> str:
    return number(value).replace("-", _MINUS)


def _signed(value: float) -> str:
    return "\N{PLUS-MINUS SIGN}0" if value == 0 else number(value, sign=True).replace("-", _MINUS)


def _between(low: float | None, high: float | None) -> str:
    return _NONE if low is None or high is None else f"{_number(low)} to {_number(high)}"


def _explained(found: Submission) -> str:
    if found.explanation is None:
        return ""
    named = (("What", found.explanation.what), ("Why", found.explanation.why), ("Next", found.explanation.next))
    return "\n".join(f"- **{name}:** {text(value, longest=1200)}" for name, value in named if value)


def _thresholds(judged: Sequence[Judged]) -> str:
    rows = [
        f"| {text(item.key)} | {text(item.wanted)} | {text(item.measured)} | {'met' if item.passed else '**missed**'} |"
        for item in judged
    ]
    return "\n".join(["| Threshold | Wanted | Measured | |", "|---|---|---|---|", *rows])


def _facts(found: Submission, url: str, origin: Origin | None) -> str:
    facts = [link(f"Submission {text(found.id)}", url or found.url), text(found.kind)]
    if found.message:
        facts.append(text(found.message, longest=120))
    if origin is not None and origin.commit:
        built = f"commit {text(origin.commit[:12])}"
        built += f" of {text(origin.repository)}" if origin.repository else ""
        built += f" ({text(origin.ref)})" if origin.ref else ""
        facts.append(built + (", as the CI service vouches" if origin.verified else ", as the job says"))
    if origin is not None and origin.job_url:
        facts.append(link("job", origin.job_url))
    return " \N{MIDDLE DOT} ".join(facts)
