"""What each layer says, by LAVIS's own `generate`, and on request what it computed on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from vitpeel.lavis.inside import assembly

PARTS = ("ln_vision", "qformer", "projection", "logits")


class Given(nn.Module):
    """Stands where LAVIS looks at the picture: what it is given is a layer's output already."""

    def forward(self, z: Tensor) -> Tensor:
        """z, returned: [n, tokens, width]."""
        return z


class Record:
    """What the modules give while LAVIS generates; each once a call."""

    def __init__(self, model: Any, beams: int) -> None:
        self.found: dict[str, Tensor] = {}
        model.ln_vision.register_forward_hook(self._keep("ln_vision", lambda out: out))
        model.Qformer.bert.register_forward_hook(self._keep("qformer", lambda out: out.last_hidden_state))
        model.t5_proj.register_forward_hook(self._keep("projection", lambda out: out))
        # the first step's; by then every row stands there once a beam
        model.t5_model.lm_head.register_forward_hook(self._keep("logits", lambda out: out[::beams, 0]))

    def _keep(self, part: str, take: Callable[[Any], Tensor]) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, out: Any) -> None:
            # cloned: the scores are changed in place afterwards
            self.found.setdefault(part, take(out).float().cpu().clone(memory_format=torch.contiguous_format))

        return hook


@torch.no_grad()
def answer(request: dict[str, Any], folder: Path) -> None:
    """Write captions.jsonl, prompt.json and, if request["parts"], parts.safetensors into the folder."""
    if request["device"] == "auto":
        request = {**request, "device": "cuda" if torch.cuda.is_available() else "cpu"}
    decoding, beams = request["decoding"], request["decoding"]["beams"]
    model = assembly.assemble(request, folder)
    vision, model.visual_encoder = model.visual_encoder, Given()
    spoken = _listen(model.t5_tokenizer)
    record = Record(model, beams) if request["parts"] else None
    kept: dict[str, list[Tensor]] = {}
    with (folder / "captions.jsonl").open("w") as file:
        for first, pixels in _pictures(request):
            with model.maybe_autocast():
                layers = vision.get_intermediate_layers(pixels)
            for layer, z in enumerate(layers):
                texts = model.generate(
                    {"image": z, "prompt": request["prompt"]},
                    num_beams=beams,
                    max_length=decoding["max_new_tokens"],
                    min_length=decoding["min_new_tokens"] + 1,  # it counts the start
                    repetition_penalty=decoding["repetition_penalty"],
                    length_penalty=decoding["length_penalty"],
                )
                for row, (text, words) in enumerate(zip(texts, spoken.pop(), strict=True)):
                    count, ended = _length(words, model.t5_tokenizer.eos_token_id)
                    said = {"picture": first + row, "layer": layer, "text": text.strip()}
                    file.write(json.dumps({**said, "tokens": count, "truncated": not ended}) + "\n")
                if record is not None:
                    for part, value in {"vit": z.float().cpu(), **record.found}.items():
                        kept.setdefault(f"{part}.{layer}", []).append(value)
                    record.found.clear()
            if record is not None:
                kept.setdefault("pixels", []).append(pixels.cpu())
            print(f"{first + len(pixels):,} of {len(request['pictures']):,} pictures", flush=True)
    if record is not None:
        whole = {name: torch.cat(values) for name, values in kept.items()}
        save_file(whole, str(folder / "parts.safetensors"))
    (folder / "prompt.json").write_text(json.dumps(_prompt(model, request)))


def _pictures(request: dict[str, Any]) -> Iterator[tuple[int, Tensor]]:
    """(number of the first, pixels [n, 3, side, side]) in batches, through LAVIS's own processor."""
    from lavis.processors.blip_processors import BlipImageEvalProcessor

    process = BlipImageEvalProcessor(request["side"], request["mean"], request["std"])
    paths: Sequence[str] = request["pictures"]
    for first in range(0, len(paths), request["batch"]):
        some = [process(Image.open(path).convert("RGB")) for path in paths[first : first + request["batch"]]]
        yield first, torch.stack(some).to(request["device"])


def _listen(tokenizer: Any) -> list[Any]:
    """A list that gets the words of every sentence before the tokenizer makes text of them."""
    heard: list[Any] = []
    decode = tokenizer.batch_decode

    def batch_decode(sequences: Tensor, **settings: Any) -> list[str]:
        heard.append(sequences.tolist())
        texts: list[str] = decode(sequences, **settings)
        return texts

    tokenizer.batch_decode = batch_decode
    return heard


def _length(words: Sequence[int], end: int) -> tuple[int, bool]:
    """Word pieces between the start and the end, and whether there is an end."""
    said = list(words[1:])
    return (said.index(end), True) if end in said else (len(said), False)


def _prompt(model: Any, request: dict[str, Any]) -> dict[str, list[int]]:
    """The prompt's words as both readers get them."""
    read = {"language": model.t5_tokenizer(request["prompt"]).input_ids}
    words = getattr(model.Qformer.bert, "words", None)
    return read if words is None else {**read, "qformer": words[0].tolist()}
