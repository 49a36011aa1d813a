"""Verbs that titles begin with: which may stand for which, and which take a clause.

`Let a parser skip blanks` is told by `Allowed a parser to skip blanks`, and not by `Added a parser
skip blanks`: what stands behind a verb belongs to it. The words are those with which the titles of
real histories begin.
"""

from __future__ import annotations

from collections.abc import Sequence

from sparky import vocabulary
from sparky.claims.stems import stem, stems

_GROUPS = """
    add introduce create implement insert include provide append bring
    remove delete drop strip eliminate discard kill rm purge prune unset
    fix correct resolve repair solve address patch hotfix bugfix mend workaround
    rename
    move relocate migrate transfer
    replace swap substitute switch
    update upgrade bump change adjust modify tweak edit adapt alter revise set
    increase raise bump extend enlarge widen
    decrease reduce lower shrink cut shorten minimize trim limit
    improve enhance polish refine better
    simplify clean cleanup tidy refactor restructure reorganize rework rewrite reimplement
    optimize speed accelerate improve
    document describe explain clarify mention note
    test cover exercise
    allow permit let enable accept
    enable activate
    disable deactivate
    disallow forbid reject refuse deny block prohibit
    prevent avoid stop
    ensure guarantee
    show display print report output
    ignore skip exclude omit
    check validate verify assert
    convert port migrate transform
    merge combine join unify consolidate
    handle process
    use utilize adopt
    pass forward propagate
    restore reinstate recover
    revert undo
    release publish
    extract split factor separate isolate
    keep preserve retain
    throw raise
    specify define declare
    run execute
    reset clear
    format reformat
    reword rephrase
    load import
    store save
    send emit
    mark flag annotate
    install setup
"""
_MORE = """
    abort apply arrange associate attempt await backport batch begin break build cache call cast catch
    choose close collect comment compare complete compute configure consider constrain continue copy
    count decode deduplicate defer delay demonstrate deprecate derive detect differentiate discourage
    discover distinguish downgrade dump emulate encapsulate encode encourage enforce escape exit expand
    expire export expose fail fall filter find finish flush force free generate get give guard harden
    have help hide hoist honor highlight indent inherit init initialize inject inline inspect install
    integrate invalidate invert invoke leave link list lock log look make map match mock modernize
    move narrow normalize open order override parametrize parse perform persist pin plug populate
    prefer prepare protect put quote reach read rearrange rebuild recommend record redirect refer
    regenerate register reintroduce reject relax reload rely reorder require respect restrict retry
    return reuse sanitize save see select share silence sort squash stabilize standardize start state
    stub suggest support suppress sync take teach tell terminate tighten tolerate touch track translate
    treat trigger try turn unblock unpin unquote view wait warn watch wire work wrap write
    ask cause force let make say
"""
_ADVERBS = (
    "always never only also properly correctly actually really just explicitly now still consistently"
    " automatically lazily optionally temporarily gracefully silently better further then don't dont"
)
ADVERBS = frozenset(_ADVERBS.split())
"""Words that stand between the beginning of a title and its verb."""

_SAME: dict[str, set[str]] = {}
for _line in _GROUPS.strip().splitlines():
    _members = set(map(stem, _line.split()))
    for _member in _members:
        _SAME.setdefault(_member, set()).update(_members)

_CHANGED = frozenset(map(stem, "change adjust modify update".split()))
_DIRECTED = _SAME[stem("increase")] | _SAME[stem("decrease")]
_PAST = {
    "used": "use",
    "uses": "use",
    "using": "use",
    "did": "do",
    "does": "do",
    "doing": "do",
    "had": "have",
}
"""Forms that are too short for their stems to tell."""

LETTING = frozenset(map(stem, "let make have".split()))
"""Verbs behind which another one stands as it is: `let it sleep` is `allowed it to sleep`."""

ADDING = frozenset(
    map(stem, "add introduce create insert implement append include missing lack forget".split())
)
"""Words of a title on a fix by which it may be told as something added: `fix missing marks`."""

GRANTED = frozenset(map(stem, "enable activate allow permit accept".split()))
"""Verbs whose thing was there before: `allow brass` adds no brass."""

BARE = (
    frozenset(word.strip("'") for word in (*_GROUPS.split(), *_MORE.split(), *vocabulary.VERBS))
    - ADVERBS
    - frozenset("better new up return correct open clean".split())
)
"""Verbs in the form in which they give an order."""
_VERBS = frozenset(map(stem, BARE))
PAST_TOO = frozenset("cut hit let put quit read reset set shut split spread".split())
"""Verbs whose past tense looks the same."""

MENDED = frozenset(
    map(stem, "avoid prevent stop handle catch plug address silence guard tolerate".split())
)
"""Verbs for which `fixed` may stand before what went wrong."""

ASKED = stems("propose suggest request ask")
"""Verbs that say what people want."""
SEEN = stems("report describe mention discuss raise question")
"""Verbs that say what people saw."""
TREATED = stems("submit open reopen close reject decline withdraw abandon review ask")
"""Verbs that say what people did with a proposal, and not what it would do."""

NOUNS = frozenset(
    "added fixed removed changed updated replaced introduced implemented improved renamed moved deleted"
    " dropped corrected resolved refactored created enhanced modified adjusted simplified".split()
)
"""Verbs behind which a thing stands, and never a sentence."""

FINITE = frozenset(
    "is are was were isn't aren't wasn't weren't may might can cannot can't could couldn't should"
    " shouldn't must mustn't will won't would wouldn't does do doesn't don't did didn't has have had"
    " hasn't haven't hadn't isnt arent doesnt dont wont cant".split()
)
"""Words that make a sentence of what stands before them."""

SUBORDINATE = frozenset(
    "that which who whose where when while if unless because since how what why whether as so and or"
    " but than after before until once".split()
)
"""Words behind which a sentence may stand, also after a verb that takes a thing."""


def is_verb(word: str) -> bool:
    """Whether titles that begin with the word, in any of its forms, begin with a verb."""
    return stem(word) in _VERBS


def verb_first(words: Sequence[str]) -> Sequence[str]:
    """A title from its verb on."""
    start = 0
    while start < len(words) and words[start] in ADVERBS:
        start += 1
    return words[start:]


def same(said: str, title: str) -> bool:
    """Whether one verb may stand before the words of another; `changed` for what has a direction."""
    a, b = stem(_PAST.get(said, said)), stem(_PAST.get(title, title))
    return a == b or b in _SAME.get(a, ()) or (a in _CHANGED and b in _DIRECTED)
