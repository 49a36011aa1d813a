"""Forms of a word: what `configure`, `Configured` and `configuration` share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_SUFFIXES = (
    "izations ization izer ize iz ations ation ements ement ments ment ness ingly ly ity ions ion"
    " ance anc ence enc able ible ive ally er or"
).split()
_BRITISH = re.compile(r"(?<=\w{4}i)s(?=(?:e[sdr]?|ing|ers|ations?)$)")
_VOWEL = re.compile(r"[aeiouy]")


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """What forms of a word share: `configure`, `Configured`, `configuration` → `configur`."""
    word = word.casefold().replace("’", "'").removesuffix("'s").replace("'", "")
    word = _BRITISH.sub("z", _SPELLING.get(word, word))
    if word.endswith(("ies", "ied")) and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("ches", "shes", "sses", "xes", "zzes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        word = word[:-1]
    if not word.endswith("eed"):  # `speed` and `need` are no past tense
        word = _without(word, ("ing", "ed"), least=3)
    word = _without(word, _SUFFIXES, least=4)
    word = word[:-1] if len(word) > 3 and word[-1] in "eiy" else word
    return word[:-2] if len(word) > 6 and word.endswith("at") else word


def _without(word: str, endings: Sequence[str], *, least: int) -> str:
    """A word without the first ending that leaves enough, and then without a doubled last letter."""
    for ending in endings:
        rest = word.removesuffix(ending)
        # `create` and `creation` are one word, though `cre` is none; nor is `str` of `string`.
        enough = max(least, 5) if "ation" in ending else least
        if rest != word and len(rest) >= enough and _VOWEL.search(rest):
            word = rest
            break
    doubled = len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeios"
    return word[:-1] if doubled else word


_SPELLING = {
    form: word
    for line in """
        add added adding adds
        allocate alloc
        argument arg args kwarg kwargs
        asynchronous async
        authenticate auth authn
        begin began begun
        behavior behaviour
        break broke
        bring brought
        build built
        calculate calc
        catch caught
        change chg
        choose chose chosen
        color colour colours colors coloured colored
        command cmd cmds
        compare cmp
        configuration config configs cfg conf
        connection conn
        customize customise
        database db databases
        default defaults
        dependency dep deps
        development dev devel
        directory dir dirs directories
        document doc docs documentation documented documenting documents
        draw drew drawn
        environment env envs
        exception exc
        execute exec
        find found
        forbid forbade forbidden
        forget forgot forgotten
        freeze froze frozen
        function func funcs fn
        get got gotten
        give gave given
        grow grew grown
        hide hid hidden
        hold held
        implement impl
        index indices indexes
        information info
        initialize init initialise
        keep kept
        leave left
        lose lost
        maximum max
        make made
        memory mem
        message msg msgs
        minimum min
        miscellaneous misc
        move mv moved moving
        number num
        optimize opt optimise
        override overrode overridden
        overwrite overwrote overwritten
        parameter param params
        prepare prep
        parenthesis parens parentheses
        password passwd pwd
        performance perf
        pointer ptr
        python py
        read reads
        rebuild rebuilt
        reference ref refs
        remove rm
        repository repo repos
        restore restored restores restoring
        rewrite rewrote rewritten
        run ran
        say said
        send sent
        show shown
        shrink shrank shrunk
        speed sped
        stop stopped
        specification spec specs
        split splitted
        synchronous sync synced syncs
        take took taken
        teach taught
        tell told
        temporary temp tmp
        throw threw thrown
        token tok
        undo undid undone
        utility util utils
        variable var vars
        version ver
        window win
        withdraw withdrew withdrawn
        write wrote written
    """.splitlines()
    if line.strip()
    for word, *forms in [line.split()]
    for form in forms
}
"""Short and irregular forms → the word that they stand for."""


def stems(words: str) -> frozenset[str]:
    """Stems of words with spaces between."""
    return frozenset(map(stem, words.split()))
