"""Chunk → Summary: ask, check, repair once, and say the rest in the activities' own words.

Code decides which activities a point cites, the engine writes the sentence. A small model told to
group by itself mixes up the ids; told the ids and the beginning of each title, it does not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparky import claims, plain, points, prompts, related, replies, words
from sparky.errors import BadAnswer
from sparky.model import Activity, Chunk, Item, Omission, Origin, Point, Summary, Traits, Usage
from sparky.ports import Answer, Engine, Prompt

PROMPT_VERSION: str = prompts.version()

TEMPERATURE = 0.0
SEED = 7

_GROUP_TOKENS = 120
_MEMBER_TOKENS = 25
_MOST_ITEMS = 16
REPAIRED = 6
"""Points that are asked for again at most; the most significant ones."""
_REFUSAL = 140
"""Characters of why a text was refused that the engine is told. It is not told the text: it would
write it again."""
ABOUT = 100
"""Characters of a title that stand before each sentence of the answer, to keep it to its subject."""


def key(chunk: str, engine: Engine) -> str:
    """The natural key of a chunk's summary: what it is made from, by the chunk's key, and how."""
    made = [chunk, PROMPT_VERSION, _schema([("a1",)], [""]), engine.model, TEMPERATURE, SEED]
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()


def reserve() -> int:
    """Tokens to keep for the answer about a chunk of the most items."""
    return _answer_tokens(_MOST_ITEMS, _MOST_ITEMS)


def overhead(count: Callable[[str], int]) -> int:
    """Tokens of a prompt that are there whatever the items say; a repair's are the most."""
    user = _user([], prompts.template("repair").text)
    return count(prompts.template("points").text) + count(user) + REPAIRED * count("x " * _REFUSAL)


def summarize(
    chunk: Chunk,
    activities: Mapping[str, Activity],
    traits: Mapping[str, Traits],
    *,
    engine: Engine,
    ask: Callable[[Prompt], Answer],
) -> Summary:
    """Summarise one chunk. Each of its activities ends in a point or in an omission.

    Errors of `ask` other than BadAnswer are let through.
    """
    desk = _Desk(chunk, activities, traits)
    members = [activities[item.key] for item in chunk.items]
    # Of what people said nothing about, an engine can only guess.
    groups = related.groups([one for one in members if points.title(one)], traits)
    failed = desk.ask(ask, groups, refusals={}) if groups else {}
    again = _most_significant(failed, traits)
    if again:
        desk.ask(ask, [group for group in groups if group in again], refusals=failed)
    desk.extract()
    return Summary(
        key=key(chunk.key, engine),
        points=tuple(desk.points),
        omitted=tuple(desk.omitted),
        usage=desk.usage,
        engine=engine.name,
        model=desk.model or engine.model,
        rejected=tuple(desk.rejected),
    )


Group = tuple[Activity, ...]


def _most_significant(failed: Iterable[Group], traits: Mapping[str, Traits]) -> set[Group]:
    """The groups without a point that are asked for again."""
    ranked = sorted(failed, key=lambda group: -max(traits[one.key].significance for one in group))
    return set(ranked[:REPAIRED])


@dataclass(slots=True)
class _Desk:
    """What has been said of a chunk so far."""

    chunk: Chunk
    activities: Mapping[str, Activity]
    traits: Mapping[str, Traits]
    points: list[Point] = field(default_factory=list)
    omitted: list[Omission] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    model: str = ""

    @property
    def items(self) -> dict[str, Item]:
        return {item.id: item for item in self.chunk.items}

    @property
    def told(self) -> set[str]:
        return {key for point in self.points for key in point.cites}

    def ask(
        self,
        ask: Callable[[Prompt], Answer],
        groups: Sequence[Group],
        refusals: Mapping[Group, str],
    ) -> dict[Group, str]:
        """Ask for a point about each group; returns the groups that got none, and why."""
        try:
            answer = ask(self.prompt(groups, refusals))
        except BadAnswer as error:
            self.rejected.append(error.message)
            return dict.fromkeys(groups, "the answer was not usable")
        self.usage += points.spent(answer)
        self.model = answer.model
        found, refused = replies.points(answer.text, self.items.keys())
        self.rejected += refused
        reasons = [self.take(reply) for reply in found]
        failed: dict[Group, str] = {}
        for group in groups:
            if self.told.isdisjoint(one.key for one in group):
                keys = {one.key for one in group}
                why = (
                    reason
                    for reply, reason in zip(found, reasons, strict=True)
                    if reason and keys & {self.items[cite].key for cite in reply.cites}
                )
                failed[group] = next(why, "no point cites it")
        return failed

    def take(self, reply: replies.Reply) -> str:
        """Keep a reply as a point if it holds; returns why it does not."""
        told = self.told
        keys = [key for cite in reply.cites if (key := self.items[cite].key) not in told]
        cited = [self.activities[key] for key in keys]
        if not cited:
            return "its activities are told already"
        # What it does not speak of, it does not prove: that gets a line of its own.
        text = claims.trim(replies.first_sentence(reply.text), cited)
        spoken = [one for one in cited if claims.covers(text, one)]
        own = len(spoken) == 1 and _own(text, spoken[0])
        if own and spoken[0].is_proposal:
            text = points.line(spoken[0])
        wrong = claims.problems(text, spoken or cited)
        if not own:
            wrong = (*wrong, *replies.style(text))
            if any(claims.recites(text, one) for one in spoken):
                wrong = (*wrong, "is copied out of the message")
        if not spoken:
            wrong = (*wrong, "does not speak of what it cites")
        if wrong:
            self.rejected.append(f"{_cut(reply.text)!r} {'; '.join(wrong)}")
            # It may quote the engine, and that the message: what is no data is cleaned like data.
            return _cut(plain.line("; ".join(wrong)))
        origin = Origin.EXTRACTIVE if own else Origin.ENGINE
        self.points.append(points.make(text, spoken, self.traits, origin))
        return ""

    def extract(self) -> None:
        """Let every activity that is not told yet speak for itself, or leave it out."""
        told = self.told
        for item in self.chunk.items:
            if item.key not in told:
                made = points.extract(self.activities[item.key], self.traits)
                if isinstance(made, Point):
                    self.points.append(made)
                else:
                    self.omitted.append(made)

    def prompt(self, groups: Sequence[Group], refusals: Mapping[Group, str]) -> Prompt:
        """The request for a point about each group, with what was wrong at the first try."""
        wanted = {one.key for one in related.flat(groups)}
        items = [item for item in self.chunk.items if item.key in wanted]
        ids = {item.key: item.id for item in items}
        plan = [tuple(ids[one.key] for one in group) for group in groups]
        task = ""
        if refusals:
            wrong = (f"{'+'.join(p)}: {refusals[g]}" for p, g in zip(plan, groups, strict=True))
            task = "\n".join([prompts.template("repair").text, *wrong])
        listed = ", ".join("+".join(part) for part in plan)
        data = [(item.id, shown(item, self.activities[item.key])) for item in items]
        return Prompt(
            system=prompts.template("points").text,
            user=_user(data, f"{task}\nWrite the points for {listed} as JSON.".lstrip()),
            max_tokens=_answer_tokens(len(plan), len(items)),
            schema=_schema(plan, [self.about(group) for group in groups]),
            temperature=TEMPERATURE,
            seed=SEED,
        )

    def about(self, group: Group) -> str:
        """What a point is about: how its titles begin, and what is not done yet. Not the kind of
        change: a wrong guess would come back as a statement."""
        return " / ".join(dict.fromkeys(map(_head, group)))


def shown(item: Item, activity: Activity) -> str:
    """An item's text; without its files where the title says enough.

    A small model that sees files names little else.
    """
    subject = words.parse(activity.title).text
    if words.is_empty(activity.title) or len(subject.split()) < 3:
        return item.text
    return item.text.rpartition("\nfiles: ")[0] or item.text


def _user(data: Iterable[tuple[str, str]], task: str) -> str:
    return f"{prompts.fenced('activities', data)}\n{task}"


def _answer_tokens(groups: int, items: int) -> int:
    return 40 + _GROUP_TOKENS * groups + _MEMBER_TOKENS * (items - groups)


def _schema(plan: Sequence[tuple[str, ...]], about: Sequence[str]) -> dict[str, Any]:
    """One point for each part of the plan, in its order: cites and subject given, the text free."""
    entries = [
        {
            "type": "object",
            "properties": {
                "cites": {"const": list(ids)},
                "about": {"const": subject},
                "text": {"type": "string"},
            },
            "required": ["cites", "about", "text"],
            "additionalProperties": False,
        }
        for ids, subject in zip(plan, about, strict=True)
    ]
    return {
        "type": "object",
        "properties": {
            "points": {
                "type": "array",
                "prefixItems": entries,
                "minItems": len(entries),
                "maxItems": len(entries),
            }
        },
        "required": ["points"],
        "additionalProperties": False,
    }


def _head(activity: Activity) -> str:
    """The beginning of a title, behind the word for what is not done."""
    title = points.title(activity)
    head = title if len(title) <= ABOUT else title[:ABOUT].rpartition(" ")[0]
    return points.standing(activity, head)


def _own(text: str, activity: Activity) -> bool:
    """Whether a text is the activity's title, alone or with the word for how far it came."""

    def bare(line: str) -> str:
        return "".join(char for char in line.casefold() if char.isalnum())

    title = points.title(activity)
    return bare(text) in (bare(title), bare(points.standing(activity, title)))


def _cut(text: str) -> str:
    return text if len(text) <= _REFUSAL else f"{text[: _REFUSAL - 1]}…"
