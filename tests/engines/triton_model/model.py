"""A model for Triton's Python backend that keeps the rules of TensorRT-LLM's two layouts.

It runs inside the server, on its Python; the repository's root is the parameter `root`.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy
import triton_python_backend_utils as triton

CONTEXT = 384


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        self.llmapi = config["name"] == "tensorrt_llm"
        self.batched = config["max_batch_size"] > 0
        sys.path.append(config["parameters"]["root"]["string_value"])
        from tests.engines import speech

        self.speech = speech

    def execute(self, requests: list[Any]) -> list[Any] | None:
        if not self.llmapi:
            return [self._whole(request) for request in requests]
        for request in requests:
            sender = request.get_response_sender()
            for response in self._parts(request):
                sender.send(response)
            sender.send(flags=triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        return None

    def _parts(self, request: Any) -> Iterator[Any]:
        """The LLM API's layout: llmapi/tensorrt_llm/1/model.py."""
        prompt = self._value(request, "text_input").decode()
        tokens = self.speech.words(prompt)
        limit = self._value(request, "sampling_param_max_tokens") or 32
        if error := self._too_long(tokens):
            yield triton.InferenceResponse(
                error=triton.TritonError(f"Error generating request: {error}")
            )
            return
        said = self.speech.words(self.speech.obedient(None, prompt))
        cut = said[:limit]
        # The prompt comes first unless it is asked to stay out.
        head = "" if self._value(request, "sampling_param_exclude_input_from_output") else prompt
        for end in range(1, len(cut) + 1):
            if end < len(cut) and not self._value(request, "streaming"):
                continue
            # Each response holds the whole text so far, and the reason is the word None until
            # there is one.
            reason = "None" if end < len(cut) else "length" if len(cut) < len(said) else "stop"
            outputs = {"text_output": head + "".join(cut[:end])}
            if self._value(request, "return_finish_reason"):
                outputs["finish_reason"] = reason
            yield self._response(outputs)

    def _whole(self, request: Any) -> Any:
        """The older layout: one response, with counts where they are asked for."""
        prompt = self._value(request, "text_input").decode()
        tokens = self.speech.words(prompt)
        if error := self._too_long(tokens):
            return triton.InferenceResponse(error=triton.TritonError(error))
        schema = None
        if self._value(request, "guided_decoding_guide_type") == b"json_schema":
            schema = json.loads(self._value(request, "guided_decoding_guide"))
        said = self.speech.words(self.speech.obedient(schema, prompt))
        cut = said[: self._value(request, "max_tokens")]
        head = "" if self._value(request, "exclude_input_in_output") else prompt
        outputs: dict[str, str | int] = {"text_output": head + "".join(cut)}
        if self._value(request, "return_num_input_tokens"):
            outputs["num_input_tokens"] = len(tokens)
        if self._value(request, "return_num_output_tokens"):
            outputs["num_output_tokens"] = len(cut)
        return self._response(outputs)

    def _response(self, outputs: dict[str, Any]) -> Any:
        def tensor(name: str, value: str | int) -> Any:
            kind = numpy.int32 if isinstance(value, int) else numpy.object_
            return triton.Tensor(name, numpy.array([[value]] if self.batched else [value], kind))

        tensors = [tensor(name, value) for name, value in outputs.items()]
        return triton.InferenceResponse(output_tensors=tensors)

    @staticmethod
    def _too_long(tokens: list[str]) -> str:
        if len(tokens) <= CONTEXT:
            return ""
        return (
            f"The sum of prompt length ({len(tokens)}.0), query length (0) should not exceed"
            f" max_num_tokens ({CONTEXT})"
        )

    @staticmethod
    def _value(request: Any, name: str) -> Any:
        tensor = triton.get_input_tensor_by_name(request, name)
        return None if tensor is None else tensor.as_numpy().flatten()[0]
