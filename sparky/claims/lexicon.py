"""English as the check of claims needs it: words that mean the same, and words that say nothing.

A word of a text is supported by what a source says if both have the same stem, or if the source has
one of the words that the lexicon lets stand for it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from sparky.claims.stems import stems as _stems

FUNCTION = frozenset(
    """
    a about above across all along also although among an and another any are around as at be been
    being below beside between both but by can could did do does doing down during each either else
    even every few for from further had has have having he her here his how i if in into is it its
    itself just like made make makes making many may me might more most much must my near neither nor
    now of off often on one only onto or other others our out over own per quite rather same shall she
    should since so some something still such than that the their them themselves then there these
    they this those through throughout to too toward under until up upon us use used uses using very
    via was we well were what whatever when where whether which while who whom whose will with within
    without would yet you your
    no not nor never none cannot can't don't doesn't didn't isn't aren't wasn't won't shouldn't
    longer instead favor favour
    """.split()
)
"""Words of grammar: they carry no claim by themselves; negation is checked apart."""

FREE = _stems(
    """
    accordingly account additional adjust affect appear apply appropriate area attempt base become
    behave behavior bring case cause certain change code come concern consist contain correspond current
    different directly edit entry existing explicit file follow form general get give go handle hold
    include instance involve item keep kind line logic make mark modify multiple name occur old part
    particular perform place possible previous produce project properly provide receive relate
    relevant respective result review rework say separate set several similar single situation
    specific start state take thing treat turn type update usage value various way work
    """
)
"""Words for what any change does. They claim nothing that could be wrong."""

EMPTY = _stems(
    "bug issue problem improvement improve enhance enhancement stuff minor small better cleanup clean"
    " refactor tweak fix error project development functionality functional feature quality"
)
"""Words that a text needs more than: any change could be told with them."""

KINDS: dict[str, frozenset[str]] = {
    "call": _stems("function method routine call"),
    "flag": _stems("option flag switch argument parameter setting"),
    "number": _stems("version release"),
    "folder": _stems("directory folder"),
}
"""What a name may be called by its form alone: `reset()` a function, `--quiet` an option."""

SOFT = frozenset[str]().union(*KINDS.values()) | _stems(
    "attribute class command component constant crate field header helper keyword library macro module"
    " package property script struct variable"
)
"""What a thing is called by its kind: it does not tell one change from another."""

DANGLING = frozenset(
    """
    a an and as at because but by for from if including into its namely nor of or our since such than
    the their to via when where whether which while who whose with without your
    """.split()
)
"""Words that no sentence ends with."""

_MEANINGS = """
    add introduce create new insert implement support = add introduce create new insert implement
        support allow enable include provide accept expose offer extend permit show
        display teach learn
        missing import import let append register start
    remove delete drop strip eliminate removal deletion = remove delete drop strip eliminate discard
        rid unused longer prune kill exclude omit away purge
    fix bug issue problem correct resolve repair solve address fault defect mistake = fix bug issue
        problem correct resolve repair solve fault defect mistake wrong broken break crash typo avoid
        prevent proper properly incorrect incorrectly regression workaround fail failure leak race
        error invalid false missing misspell don't dont cannot hang deadlock panic segfault warning
        patch hotfix ensure guard
    prevent avoid = prevent avoid stop don't dont never not no disallow forbid longer guard block
        fix ignore
    rename = rename renamed
    move relocate = move relocate migrate transfer extract split
    fewer less = fewer less reduce decrease
    document documentation docstring describe description explain clarify mention = document
        docstring readme describe explain clarify mention comment tutorial guide manual example
    test tests testing coverage = test testing coverage pytest unittest spec assert
    deprecate = deprecate deprecation deprecated
    release publish = release publish tag
    revert = revert undo backout
    restore = restore revert reinstate
    enable activate = enable activate on
    allow permit accept = allow permit accept support enable let can tolerate
    support = support allow accept handle enable add compatible compatibility
    disable deactivate = disable deactivate off
    stop = stop dont never not no longer quit
    disallow forbid reject refuse deny block = disallow forbid reject refuse deny block not dont never
        prevent stop
    increase raise grow extend = increase raise grow extend bump more larger bigger higher longer
        enlarge up widen
    raise throw = raise throw exception error
    decrease reduce lower shrink cut = decrease reduce lower shrink cut less smaller fewer shorten
        down minimize minimise avoid
    improve enhance better improvement = improve enhance better improvement
    simplify clean cleanup tidy = simplify simpler clean cleanup tidy refactor prune
    refactor restructure reorganize rework = refactor restructure reorganize rework rewrite clean
        cleanup
    rewrite = rewrite rework
    optimize speed faster performance = optimize optimization speed faster fast performance quick
        efficient
    replace swap substitute = replace swap substitute instead switch migrate convert use prefer over
    switch migrate = switch migrate use replace move instead
    convert = convert port migrate transform
    upgrade = upgrade update bump
    bump = bump update upgrade
    downgrade = downgrade
    merge = merge
    close = close
    open reopen = open reopen
    relax loosen = relax loosen
    crash segfault = crash segfault panic abort
    error exception failure = error exception failure fail raise traceback err throw
    fail failure = fail failure error
    typo spelling misspelling = typo spelling misspell spelled spelt
    option flag switch setting configuration = option flag switch setting configuration
    argument parameter = argument parameter
    function method routine = function method routine def callback
    directory folder = directory folder path
    dependency requirement = dependency requirement
    annotation hint typing = annotation hint typing typed type
    asynchronous = asynchronous await coroutine
    workflow ci pipeline = workflow ci pipeline actions action travis
    repository = repository
    show display print = show display print output render
    ignore skip = ignore skip exclude
    ensure guarantee = ensure guarantee make always
    check validate verify = check validate verify ensure assert
    warn warning = warn warning
    log logging = log logging logger
    import = import
    obsolete outdated stale old = obsolete outdated stale old dead unused
    unneeded unnecessary redundant superfluous = unneeded unnecessary redundant superfluous unused
        needless
    broken = broken break wrong
    wrong incorrect invalid = wrong incorrect invalid false bad fix
    clarify = clarify clear clearer explain
    build compile compilation = build compile compilation
    tool tooling = tool tooling
    link url = link url
    image picture = image picture svg png logo
    default = default
    on = on enable
    off = off disable
    comment = comment
"""


def _meanings() -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for line in re.sub(r"\n {8,}", " ", _MEANINGS).strip().splitlines():
        said, _, sources = line.partition("=")
        for word in _stems(said):
            table.setdefault(word, set()).update(_stems(sources))
    return {word: frozenset(sources) for word, sources in table.items()}


MEANINGS = _meanings()
"""Stem in a text → stems of a source any of which lets it stand."""


def supported(word: str, source: frozenset[str] | set[str]) -> bool:
    """Whether a stem stands in the source's stems, itself or by a word that means the same."""
    return word in source or not MEANINGS.get(word, frozenset()).isdisjoint(source)


ACTS: dict[str, frozenset[str]] = {
    "add": _stems("add introduce create insert implement"),
    "remove": _stems("remove delete drop strip eliminate"),
    "fix": _stems("fix correct resolve repair solve"),
    "rename": _stems("rename"),
    "move": _stems("move relocate"),
    "revert": _stems("revert undo"),
    "deprecate": _stems("deprecate"),
    "enable": _stems("enable activate allow permit let"),
    "disable": _stems("disable deactivate disallow forbid deny"),
    "increase": _stems("increase raise bump enlarge"),
    "decrease": _stems("decrease reduce lower shrink"),
    "upgrade": _stems("upgrade"),
    "downgrade": _stems("downgrade"),
    "open": _stems("open reopen"),
    "close": _stems("close"),
    "start": _stems("start"),
    "stop": _stems("stop"),
    "accept": _stems("accept"),
    "reject": _stems("reject refuse"),
    "show": _stems("show display expose"),
    "hide": _stems("hide conceal"),
    "document": _stems("document describe explain clarify"),
    "test": _stems("test"),
    "lock": _stems("lock"),
    "unlock": _stems("unlock"),
}
"""What can be done to a thing; a text must not say another act than its source."""

OPPOSITES: dict[str, str] = {}
for _one, _other in (
    ("add", "remove"),
    ("enable", "disable"),
    ("increase", "decrease"),
    ("upgrade", "downgrade"),
    ("open", "close"),
    ("start", "stop"),
    ("accept", "reject"),
    ("show", "hide"),
    ("lock", "unlock"),
):
    OPPOSITES |= {_one: _other, _other: _one}

NEAR: tuple[set[str], ...] = (
    {"add", "fix"},
    {"remove", "fix"},
    {"add", "enable"},
    {"add", "accept"},
    {"add", "show"},
    {"move", "rename"},
    {"increase", "upgrade"},
    {"disable", "reject"},
    {"enable", "accept"},
    {"stop", "disable"},
)
"""Acts that one change can be at once, where its title has a word for either."""


@lru_cache(maxsize=16_384)
def act(word: str) -> str | None:
    """The act that a stem names."""
    return next((name for name, stems in ACTS.items() if word in stems), None)


NEGATIONS = frozenset(
    "no not never none nothing cannot without neither nor don't doesn't didn't isn't aren't wasn't"
    " won't can't shouldn't mustn't dont doesnt isnt wont".split()
)
NEGATIVE = _stems(
    "avoid prevent stop disable remove drop fix ignore skip reject refuse disallow forbid exclude"
    " only keep preserve leave limit restrict delete eliminate unless except silence suppress"
    " refrain omit invalid missing unused fail correct bug allow crash issue no longer lack guard"
    " block deny"
)
"""Words in which a `not` of the source may be hidden, and the other way round."""

MENDING = NEGATIVE - _stems("only keep preserve leave limit restrict allow lack longer")
"""Words that say that something wrong is no more."""

SYMPTOMS = _stems(
    "leak crash fail hang break corrupt stall deadlock overflow segfault panic wrong incorrect lose"
    " mutate duplicate bug broken race"
)
"""What goes wrong: a text that names it says too that it was mended, or that it does not happen."""

STOPPING = _stems("stop avoid prevent disable remove disallow drop delete forbid eliminate")
"""Verbs that, put before what a source says was done, turn it around."""

NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()
    )
    if word != "one"
}
"""Number words; `one` is a pronoun more often than a number."""

DIRECTIONS: dict[str, frozenset[str]] = {}
"""Word → words that say the opposite: where a source has only these, the word is wrong."""
for _words, _others in (
    ("above over exceeding", "below under"),
    ("before", "after"),
    ("up", "down"),
    ("on", "off"),
    ("first", "last"),
    ("always", "never"),
    ("more", "less fewer"),
    ("larger bigger higher longer", "smaller lower shorter"),
    ("faster", "slower"),
    ("maximum max most", "minimum min least"),
    ("required mandatory", "optional"),
    ("public", "private"),
    ("true", "false"),
    ("client", "server"),
    ("read", "write"),
    ("input", "output"),
    ("request", "response"),
    ("local", "remote"),
    ("synchronous", "asynchronous async"),
):
    for _word in _words.split():
        DIRECTIONS[_word] = frozenset(_others.split())
    for _word in _others.split():
        DIRECTIONS[_word] = frozenset(_words.split())

UNITS = _stems(
    "nanosecond microsecond millisecond second minute hour day week month year ns us ms s min h"
    " byte bytes kb kib mb mib gb gib tb tib bit percent line item time character column row"
)
"""What numbers count: a number goes with its unit."""

DOCUMENTED = _stems(
    "document docstring readme describe explain clarify mention comment tutorial guide manual"
    " example typo page section note"
)
TESTED = _stems("test testing coverage benchmark pytest unittest")
"""What a text about documentation or tests says, so that it does not claim the thing itself."""

PAGES = _stems(
    "docs page changelog log history news release link url translation spelling grammar wording phrase"
    " text reference api quickstart install installation faq index heading title table list badge logo"
    " author contributor copyright licence license name version advice instruction"
)
SAMPLES = _stems("sample fixture data case snapshot mock assertion assert script check ci expect")
"""What a text about pages or tests alone may speak of instead."""

CONDITIONS = frozenset("when if unless except until without only".split())
"""Words that narrow what a title says."""
