"""Does a text say only what its activities say?

A deterministic check, and a trim to what passes. Numbers, names, paths, people, states, acts,
directions, negations, reasons and every other word of content must come from the activities. The
check reads no minds: it can pass a sentence whose words all stand there and whose sense is wrong,
and it refuses true sentences in words of their own.

    check        problems, trim, covers: what others use
    states       what is only proposed, and the word for it
    statement    a text beside the evidence for it
    names        identifiers, paths, quotes, numbers, people
    acts         what was done, to what, and what was not
    directions   what became what, and what was put where
    clauses      what stands behind a verb belongs to it
    faults       what was wrong, and never its remedy
    wording      reasons, and all other words
    prose        the form of a text alone
    implied      what paths, counts and states stand for
    message      what of a message says what was done
    evidence     what activities say
    lexicon      words that mean the same, and words that say nothing
    verbs        verbs that titles begin with
    stems        forms of a word
"""

from sparky.claims.check import covers, figures, problems, recites, telling, trim
from sparky.claims.states import standing

__all__ = ["covers", "figures", "problems", "recites", "standing", "telling", "trim"]
