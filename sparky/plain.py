"""Plain text: what people wrote, without what hides, what quotes, and what an engine would obey."""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby

CUT = "[… cut]"
"""Stands where something was left out."""

_LONGEST = 20_000
"""Characters of a text that are looked at; what is beyond is cut before anything else."""

_UNUSUAL = re.compile(r"[^\n\t -~]")
# Blank letters and selectors, which hide text though they are neither control nor format.
_HIDDEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0") | frozenset(
    map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
)
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*\x07?)?")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)

# The special tokens of model families, by their published tokenizer configurations; what stands
# between bars (`<|im_start|>`, DeepSeek's wide ones, EXAONE's square ones) needs no list.
_BRACKETS = (
    r"/?INST|/?SYSTEM_PROMPT|/?AVAILABLE_TOOLS|/?TOOL_\w+|IMG(?:_\w+)?|PREFIX|SUFFIX|MIDDLE|ARGS|CALL_ID"
    r"|/?THINK|(?:BEGIN_)?AUDIO|TRANSCRIBE|/?MODEL_SETTINGS|control_\d+|@BOS@|multimodal|[gs]?MASK"
    r"|BOS|EOS|EOT|PAD|UNK|CLS|SEP|(?:start|end)_header_id|UNUSED_TOKEN_\d+|unused\d+"
)
_ANGLES = (
    r"s|bos|eos|pad|unk|cls|sep|sop|eop|mask|2mass|think|system|user|assistant|answer"
    r"|(?:start|end)_of_\w+|(?:bos|eos|eop|mask)_token|tool_?\w+|available_tools|function_\w+"
    r"|arg_(?:key|value)|fim_\w+|extra_id_\d+|special_\d+|unused_?\d+|image_soft_token|repo_?name"
    r"|file_sep|filename|gh_stars|issue_\w+|jupyter_\w+|empty_output|(?:seed|minimax):\w+"
    r"|(?:add|delete|rename|edit)_file|commit_\w+|role|\u7528\u6237|AI"
)
TOKEN = re.compile(
    rf"[<\uff1c](?=[|\uff5c]|<?/?SYS>|/?(?:{_ANGLES})[>\uff1e])|(?<=[|\uff5c])(?=[>\uff1e\]])"
    rf"|\[(?=\||(?:{_BRACKETS})\])"
    # MiniMax's turns, Falcon's headings, the marks of OLMo, and the switches of reasoning.
    r"|\](?=(?:~!?\w|!\w~)[\[\]]|<\])|\[(?=e~\[)|>(?=>[A-Z]{3,}<<)|\|(?=\|\|[A-Z_]+\|\|\|)"
    r"|(?<!\S)/(?=(?:no_?)?think(?![\w>\]]))",
    re.IGNORECASE,
)
"""Where a special token of a model begins: what is found there gets a space behind it."""


def clean(text: str) -> str:
    """Text without control, zero-width and bidi characters and HTML comments; newlines stay.

    Tokens of chat templates get a space inside, which makes them plain words.
    """
    text = _ESCAPE.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    text = _UNUSUAL.sub(lambda match: _visible(match.group()), text)
    while (without := _COMMENT.sub("", text)) != text:
        text = without
    return TOKEN.sub(lambda match: f"{match.group()} ", text)


def _visible(char: str) -> str:
    category = unicodedata.category(char)
    if category in {"Zl", "Zp"}:
        return "\n"
    if category == "Zs":
        return " "
    return "" if category.startswith("C") or char in _HIDDEN else char


def line(text: str, *, most: int = 300) -> str:
    """One clean line of at most `most` characters."""
    return shorten(" ".join(clean(text[:_LONGEST]).split()), most)


def shorten(text: str, most: int) -> str:
    """At most `most` characters (or the mark alone); cut between words where it can be."""
    if len(text) <= most:
        return text
    kept = text[: max(0, most - len(CUT) - 1)]
    head, space, _ = kept.rpartition(" ")
    if space and 2 * len(head) > len(kept):
        kept = head
    return f"{kept.rstrip()} {CUT}".lstrip()


# What machines and processes add to a message, and says nothing of the change.
_TRAILER = re.compile(
    r"(?:[A-Z][\w-]*-by|Change-Id|PR-URL|Reviewed-on|Cc|git-svn-id|Differential Revision|Link"
    r"|Message-ID|Part-of|(?:Gerrit|Original|Phabricator|GitOrigin|X)-[\w-]+):\s"
    r"|\(cherry picked from commit [0-9a-f]+\)|\[(?:skip ci|ci skip)\]|-{5,}\s*$",
    re.IGNORECASE,
)
_FOLDED = re.compile(r"<details\b.*?(?:</details>|\Z)", re.DOTALL | re.IGNORECASE)
_UPDATED = re.compile(r"^---\nupdated-dependencies:.*", re.DOTALL | re.MULTILINE)
_LOG = re.compile(
    r"\s*(?:>|\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\[\s*\d+\.\d+\]|Traceback \(most recent"
    r"|File \".*\", line \d|at [\w.$<>]+\(.*\)|==\d+==|#\d+ +0x)"
)
_FENCE = re.compile(r"\s*(?:```|~~~)")
_MARKS = re.compile(rf"(?:{re.escape(CUT)}\s*){{2,}}")
_BLANKS = re.compile(r"\n{3,}")
_BLOCK = 4
"""Lines of code that may stay where they stand: an example rather than a log."""


def body(text: str, *, most: int = 1200) -> str:
    """What a body says itself: no trailers, quotes, logs, long code or folded parts.

    What was taken out between, and what is beyond `most` characters, leaves a mark.
    """
    said = _UPDATED.sub("", _FOLDED.sub(f"\n{CUT}\n", clean(text[:_LONGEST])))
    lines = [each.rstrip() for each in said.split("\n") if not _TRAILER.match(each)]
    said = "\n".join(
        CUT if quoted else each for each, quoted in zip(lines, _quoted(lines), strict=True)
    )
    said = _MARKS.sub(f"{CUT}\n", _BLANKS.sub("\n\n", said)).strip()
    if len(text) > _LONGEST:
        said = f"{said} {CUT}"
    return "" if said == CUT else shorten(said, most)


def _quoted(lines: list[str]) -> list[bool]:
    """For each line whether it is a log, a quote, or part of a long block of code."""
    flags = [_LOG.match(each) is not None for each in lines]
    fences = [index for index, each in enumerate(lines) if _FENCE.match(each)]
    if len(fences) % 2:
        fences.append(len(lines) - 1)
    blocks = [range(start, end + 1) for start, end in zip(fences[::2], fences[1::2], strict=True)]
    for indented, run in groupby(
        range(len(lines)), lambda index: lines[index].startswith(("    ", "\t"))
    ):
        if indented:
            indexes = list(run)
            blocks.append(range(indexes[0], indexes[-1] + 1))
    for block in blocks:
        if len(block) > _BLOCK:
            for index in block:
                flags[index] = True
    return flags
