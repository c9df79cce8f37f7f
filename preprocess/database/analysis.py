"""Which index would help a query, found out by building it and measuring."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from preprocess.errors import StoreError
from preprocess.store.indexes import Index
from preprocess.store.laboratory import LONGEST_RUN_S, Laboratory, Plan
from preprocess.store.slow_log import SlowQuery
from preprocess.store.sql_text import canonical
from preprocess.store.workload import NamedQuery, is_query

# An index costs room and slows every import: less than this is not worth it.
LEAST_GAIN = 0.25
LEAST_SAVED_MS = 0.1
MOST_LOGGED = 20

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """One index that was built and measured. `milliseconds` is None if the query took too long."""

    index: Index
    used: bool
    milliseconds: float | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Recommendation:
    """An index that was seen to help: the query's plan and median time before and after."""

    index: Index
    query: str
    plan_before: tuple[str, ...]
    plan_after: tuple[str, ...]
    ms_before: float
    ms_after: float
    size_bytes: int

    @property
    def sql(self) -> str:
        """The statement that makes the index."""
        return self.index.sql


@dataclass(frozen=True, slots=True)
class QueryReport:
    """What was found out about one query; `reason` says why no index is recommended."""

    query: NamedQuery
    plan: tuple[str, ...] = ()
    milliseconds: float | None = None
    trials: tuple[Trial, ...] = ()
    recommendation: Recommendation | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Analysis:
    """The reports of all queries, and what they were measured on."""

    measured_on: str
    reports: tuple[QueryReport, ...] = ()

    @property
    def recommendations(self) -> list[Recommendation]:
        """One for each index, by the query that it helps most, greatest saving first."""
        best: dict[Index, Recommendation] = {}
        for report in self.reports:
            found = report.recommendation
            if found and (found.index not in best or _saved(found) > _saved(best[found.index])):
                best[found.index] = found
        return sorted(best.values(), key=_saved, reverse=True)


def _saved(found: Recommendation) -> float:
    return found.ms_before - found.ms_after


def logged_queries(entries: Iterable[SlowQuery], *, most: int = MOST_LOGGED) -> list[NamedQuery]:
    """The slow queries that took the most time together, each with its slowest parameters."""
    spent: dict[str, float] = {}
    slowest: dict[str, SlowQuery] = {}
    for entry in entries:
        if not is_query(entry.sql) or entry.parameters is None:
            continue
        text = canonical(entry.sql)
        spent[text] = spent.get(text, 0.0) + entry.milliseconds
        if text not in slowest or entry.milliseconds > slowest[text].milliseconds:
            slowest[text] = entry
    chosen = sorted(spent, key=spent.__getitem__, reverse=True)[:most]
    return [
        NamedQuery(
            f"slow/{number}", slowest[text].sql, slowest[text].parameters or (), "slow-query log"
        )
        for number, text in enumerate(chosen, start=1)
    ]


def analyse(
    laboratory: Laboratory,
    queries: Sequence[NamedQuery],
    progress: Progress = lambda _done, _total: None,
) -> Analysis:
    """Try out every promising index for every query."""
    reports = []
    for done, query in enumerate(queries, start=1):
        try:
            reports.append(_report(laboratory, query))
        except StoreError as error:
            reports.append(QueryReport(query, reason=str(error)))
        progress(done, len(queries))
    return Analysis(laboratory.what, tuple(reports))


def _report(laboratory: Laboratory, query: NamedQuery) -> QueryReport:
    plan = laboratory.plan(query)
    before = laboratory.measure(query)
    if not plan.slow_tables:
        reason = "No index helps, because every table is reached by a key already."
        return QueryReport(query, plan.text, before, reason=reason)
    tried = [_tried(laboratory, query, index) for index in laboratory.candidates(query, plan)]
    trials = tuple(trial for trial, _ in tried)
    helpful = [
        (trial, after)
        for trial, after in tried
        if trial.used and _helps(before, trial.milliseconds)
    ]
    if not helpful:
        return QueryReport(query, plan.text, before, trials, reason=_why_not(trials))
    trial, after = min(helpful, key=lambda pair: pair[0].milliseconds or 0.0)
    again = laboratory.measure(query)  # without the index: was it the index, or a calmer machine?
    if not _helps(_least(before, again), trial.milliseconds):
        reason = f"No index helps, because a second look found no gain by {trial.index.name}."
        return QueryReport(query, plan.text, before, trials, reason=reason)
    recommendation = Recommendation(
        index=trial.index,
        query=query.name,
        plan_before=plan.text,
        plan_after=after.text,
        ms_before=_bound(_least(before, again)),
        ms_after=_bound(trial.milliseconds),
        size_bytes=trial.size_bytes,
    )
    return QueryReport(query, plan.text, before, trials, recommendation)


def _tried(laboratory: Laboratory, query: NamedQuery, index: Index) -> tuple[Trial, Plan]:
    with laboratory.built(index) as built:
        plan = laboratory.plan(query)
        # One that the planner passes over cannot help: there is nothing to measure.
        spent = laboratory.measure(query) if plan.uses(index) else None
        return Trial(index, plan.uses(index), spent, built.size_bytes), plan


def _helps(before: float | None, after: float | None) -> bool:
    if after is None:
        return False
    saved = _bound(before) - after
    return saved >= LEAST_SAVED_MS and saved >= LEAST_GAIN * _bound(before)


def _bound(milliseconds: float | None) -> float:
    """A time, or the least that one too long to wait for can have been."""
    return milliseconds if milliseconds is not None else LONGEST_RUN_S * 1000.0


def _least(*times: float | None) -> float | None:
    known = [spent for spent in times if spent is not None]
    return min(known) if known else None


def _why_not(trials: Sequence[Trial]) -> str:
    if not trials:
        return (
            "No index helps, because the query reads whole tables: it compares and sorts by no "
            "column that has no index."
        )
    parts = [
        f"{trial.index.name} does not make it quicker ({trial.milliseconds:.3g} ms)"
        if trial.milliseconds is not None
        else f"{trial.index.name} is {'too slow' if trial.used else 'not used'}"
        for trial in trials
    ]
    return f"No index helps, because {', '.join(parts)}."
