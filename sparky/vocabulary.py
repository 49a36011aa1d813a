"""Words that tell kinds of change apart. Data for `sparky.changes`; the code is there."""

from __future__ import annotations

import re

from sparky.model import Change


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


def _table(words: dict[Change, str]) -> dict[str, Change]:
    return {word: change for change, line in words.items() for word in line.split()}


TYPES: dict[str, Change] = _table(
    {
        Change.FEATURE: "feat feature features enhancement",
        Change.FIX: "fix fixes bug bugfix hotfix",
        Change.PERFORMANCE: "perf performance",
        Change.SECURITY: "security",
        Change.DOCUMENTATION: "doc docs documentation readme guide faq",
        Change.REFACTORING: "refactor refactoring cleanup",
        Change.TESTS: "test tests testing bench benchmark benchsuite",
        Change.BUILD: "build ci workflow workflows gha cmake docker makefile packaging pkg",
        Change.DEPENDENCY: "deps deps-dev dependencies dependency",
        Change.FORMATTING: "style fmt format lint typo typos",
        Change.RELEASE: "release",
        Change.REVERT: "revert",
        Change.OTHER: "chore misc l10n i18n",
    }
)
"""What the prefix of a title says, as in `feat(http): …`; `chore` says only that it is no other."""

GITMOJI: dict[str, Change] = _table(
    {
        Change.FEATURE: "✨ :sparkles: 🚩 🚸 💄 :lipstick:",
        Change.FIX: "🐛 :bug: 🚑 :ambulance: 🩹 :adhesive_bandage: 🥅",
        Change.PERFORMANCE: "⚡ :zap:",
        Change.SECURITY: "🔒 :lock:",
        Change.DOCUMENTATION: "📝 :memo: 💡 :bulb: 📄 👥",
        Change.REFACTORING: "♻ :recycle: 🏗 🚚 :truck: ⚰ 🏷",
        Change.TESTS: "✅ :white_check_mark: 🧪 :test_tube: 📸",
        Change.BUILD: "👷 :construction_worker: 💚 :green_heart: 🔨 🔧 :wrench: 📦 :package: 🙈",
        Change.DEPENDENCY: "⬆ :arrow_up: ⬇ :arrow_down: 📌 :pushpin: ➕ ➖",
        Change.FORMATTING: "🎨 :art: 🚨 :rotating_light: ✏ :pencil2:",
        Change.RELEASE: "🔖 :bookmark:",
        Change.REVERT: "⏪ :rewind:",
    }
)
BREAKING_SIGNS = ("💥", ":boom:")

LABELS: dict[str, Change] = _table(
    {
        # The most telling first: a pull request may have several.
        Change.SECURITY: "security vulnerability",
        Change.DEPENDENCY: "dependencies deps dependency",
        Change.FIX: "bug bugfix fix regression crash",
        Change.FEATURE: "enhancement feature new-feature feature-request",
        Change.PERFORMANCE: "performance perf",
        Change.DOCUMENTATION: "documentation docs doc",
        Change.TESTS: "tests test testing",
        Change.BUILD: "ci build infrastructure infra github_actions github-actions",
        Change.REFACTORING: "refactor refactoring cleanup code-quality internal",
        Change.FORMATTING: "style formatting typo",
    }
)
LABEL_PREFIX = _any(r"^(?:type|kind|category|area|changelog|impact|t|c)\s*[:/-]+\s*")
BREAKING_LABELS = frozenset("breaking breaking-change breaking-changes semver-major".split())

PRIVATE_FORK = re.compile(r"Merge commit from fork$")
"""What GitHub calls a change that it merges from the private fork of a security advisory."""

SECURITY = _any(
    r"\bCVE-\d{4}-\d+|\bGHSA(?:-\w{4}){3}\b",
    r"\bvulnerabilit(?:y|ies)\b|\bvulnerable\b|\bexploit",
    r"\bsecurity (?:fix|issue|bug|patch|hole|flaw|problem|advisory|release|hardening)",
    r"\b(?:XSS|CSRF|XXE|SSRF|ReDoS)\b|\b(?:path|directory) traversal\b",
    r"\b(?:sql|command|code|header|crlf|shell) injection\b|\bprivilege escalation\b",
    r"\bprevent\b.* \bbypass",
)

_FORMATTERS = r"black|isort|ruff|autopep8|yapf|clang-format|gofmt|rustfmt|prettier|pyupgrade|fmt"
_SPACE = r"white-? ?space|indent(?:ation)?|blank lines?|empty lines?|trailing spaces?"
FORMATTING = _any(
    r"\b(?:typos?|mis-?spell\w*|mis-?spelt|spelling|grammar|grammatical|punctuation)\b",
    r"\b(?:missing|extra|add an?|remove an?|stray) (?:comma|period|back-?tick|quote|full stop|space)s?\b",
    rf"^(?:(?:run|ran|apply|applied|use|fix|format with|reformat with)\b.*)?\b(?:{_FORMATTERS})"
    r"(?: (?:format(?:ting)?|fix(?:es)?|code|run|everything|all files|style|on \S+)|,? (?:and|&) \w+)?[.!]?$",
    r"\bs/\w+/\w+/|\b(?:re-?format(?:ted|ting)?|auto-?format(?:ted|ting)?)\b",
    r"\b(?:fix|clean|tidy|remove|strip|adjust|trailing|correct|normali[sz]e)\w*\b.{0,30}"
    rf"\b(?:{_SPACE}|formatting|code ?style|coding style)[.!]?$",
    rf"\b(?:{_SPACE}|style) (?:style )?(?:fix(?:es)?|nits?|clean-?ups?)\b",
    r"^(?:fix |code |coding )?(?:style|lint(?:ing|er)?|flake8|pep-?8|eslint|clippy|pylint|"
    rf"{_FORMATTERS})(?: (?:fix(?:es)?|issues?|errors?|warnings?|nits?|clean-?up))?[.!]?$",
)

DEPENDENCIES = _any(
    r"\b(?:update|upgrade|bump|refresh|pin|unpin|lock|regenerate|sync|relax|raise)[sd]?\b.*"
    r"\b(?:dependenc(?:y|ies)|deps|requirements?|lock ?file|submodules?|pins|pre-commit hooks)\b",
    r"\bdependency updates?\b|\bpre-commit autoupdate\b",
    r"^(?:also )?(?:bump|upgrade)(?:s|ed)? (?!msrv|minimum|version)[@\w./-]+$",
)

UPDATERS = _any(
    r"\b(?:dependabot|renovate|pyup|greenkeeper|pre-commit-ci|snyk|scala-steward|depfu)\b"
)
"""Names of bots that update dependencies and do nothing else."""

BUMPED = _any(r"^bump (?:[\w-]+ )?versions?[.!]?$")
"""A title that names no version; a release only where a changelog is touched."""

CANDIDATE_NOTES = _any(r"(?<![a-z])rc-?\d+\b", r"\bbatch\b")
"""What release notes of the next version are called, where a title names no whole version."""

DOCUMENTING = _any(
    r"^(?:re-?)?(?:document(?:s|ed|ing)?|clarif(?:y|ies|ied)|explain(?:s|ed)?|mention|comment|reword)\b",
    r"\b(?:docstrings?|readme|man ?pages?|doctests?|(?:code|doc|api|inline|outdated|stale|wrong) comments?|code example)\b",
    r"\bin comments?\b|\b(?:fix|add|update|improve|remove|tweak|correct)\w*\b.{0,30}\bcomments?[.!]?$",
    r"^docs?\b|\b(?:fix|add|update|improve|enhance|clean ?up|rework|tweak|correct|build)\w*\b.{0,30}"
    r"\bdoc(?:s|umentation)?\b",
)
DOCUMENTATION = _any(
    r"\b(?:docs?|documentation|changelog|tutorial|examples?|guide|links?|notes?)\b"
)
"""Says that it is about documentation only where documentation is among the files."""

TESTS = _any(r"\b(?:tests?|test ?cases?|testing|test ?suite|coverage|benchmarks?)\b")
BUILD = _any(
    r"\b(?:CI|travis|appveyor|github actions?|azure pipelines?|gitlab-ci|circleci|jenkins|tox|nox"
    r"|pre-commit|codecov|docker(?:file)?|makefile|cmake|autoconf|meson|packaging|wheels?|sdist"
    r"|pyproject|setup\.py|msrv|homebrew|brew)\b",
    r"\b(?:fix|broken?) (?:the )?(?:windows |linux |macos |release )?builds?\b",
    r"\bcompil(?:e|er|ation) (?:warning|error)s?\b",
    r"\b(?:drop|remove)[sdp]*(?:ed)? support for (?:python|node|rust|go|ruby|php)\b",
    r"\b(?:minimum|edition|version of) (?:rust|python|node|go)\b|\b20\d\d edition\b"
    r"|\bminimum \w* ?version\b",
)

PERFORMANCE = _any(
    r"\b(?:perf|performance|faster|speed[ -]?up|optimi[sz]\w+|slow(?:ness|down)?|throughput|latency"
    r"|lazily)\b",
    r"\b(?:reduce|lower|save|cut)[sd]?\b.*"
    r"\b(?:memory|allocations?|cpu|overhead|copies|calls?|contention|codegen)\b",
    r"\bavoid(?:s|ing)?\b.*\b(?:cop(?:y|ies|ying)|allocat\w+|re-?comput\w+|unnecessary \w+)\b",
    r"\bwithout (?:iterating|loading|reading|copying)\b|\bbuffer size\b",
)
HYGIENE = _any(
    r"\b(?:mypy|pyright|type hints?|type annotations?|typing|lint(?:er|ing)?|clippy|eslint|ruff)\b",
    r"\b(?:unused|dead code|redundant) \w+",
    r"\b(?:new|introduces?|add) (?:\w+ )?"
    r"(?:struct|helper|macro|wrapper|typedef|base class|mixin)\b",
)
"""What serves only those who work on the code."""

REMOVAL = _any(
    r"^(?:remove|rm|delete|drop)(?:[sd]|ped|ping|ing)?\b.*\b(?:support|options?|flags?|commands?"
    r"|apis?|settings?|alias|deprecated|backends?|features?)\b"
)
"""What users may have used is taken away: no mere clean-up."""

VERBS: dict[str, Change] = _table(
    {
        Change.FEATURE: "add introduce support allow enable implement impl provide expose learn"
        " teach accept create extend offer include new improve enhance permit let show print report"
        " display detect warn export re-export reexport stabilize stabilise instrument",
        Change.FIX: "fix hotfix bugfix avoid prevent ensure handle correct correctly properly"
        " resolve reject refuse guard restore repair plug respect honor honour don't never always"
        " only stop account check validate escape forbid preserve silence disallow protect retry do"
        " wait tolerate unbreak recover ignore skip raise throw abort keep close free reset clear"
        " exclude strip fall fallback force enforce tighten initialize initialise propagate return",
        Change.PERFORMANCE: "optimize optimise speed accelerate cache",
        Change.REFACTORING: "refactor clean cleanup simplify rework restructure reorganize"
        " reorganise tidy modernize modernise deduplicate factor consolidate rename move extract"
        " split convert replace migrate inline unify encapsulate switch use utilize pass port"
        " libify turn touch reuse rely hoist lift separate isolate remove rm delete drop eliminate"
        " wire generalize generalise wrap reorder rewrite annotate stub adapt polish align make"
        " mark",
    }
)
"""What the verb says that a title begins with."""

SIGNS: tuple[tuple[Change, re.Pattern[str]], ...] = (
    (
        Change.FIX,
        _any(
            r"\b(?:fix|fixes|fixed|fixing|bugs?|workaround|work around|incorrect(?:ly)?"
            r"|wrong(?:ly)?|broken|missing)\b",
            r"\b(?:crash\w*|segfaults?|dead-?locks?|race|memory leaks?|leaking|overflows?"
            r"|regressions?|hangs?)\b",
            r"\b(?:shouldn't|should (?:not|be)|no longer (?!use|need|rel)|edge cases?|corrupt\w*"
            r"|use-after-free|double free)\b",
        ),
    ),
    (Change.REFACTORING, _any(r"\b(?:refactor\w*|clean[ -]?ups?|simplif\w+|nits?)\b")),
    (
        Change.FEATURE,
        _any(
            r"\b(?:add(?:s|ed|ing)?|supports?|introduc\w+|implement\w*|new|improv\w+|better"
            r"|enhanc\w+)\b"
        ),
    ),
)
"""What words anywhere in a title say, where its verb says nothing."""

FIXES = _any(r"\b(?:fix(?:es|ed)?|resolve[sd]?)\b:? (?:[\w/.-]+)?#\d+", r"\b(?:this|the) bug\b")
"""A body that says of itself that it mends something."""
