"""CLIP (Radford et al. 2021) as open_clip keeps it, from a folder in the hub's layout.

The folder holds open_clip_config.json (model_cfg, preprocess_cfg), the weights as safetensors, and a
tokenizer if text_cfg.hf_tokenizer_name says that the model has its own; without it words are CLIP's byte
pairs. Layers, heads and the class token are the trunk's: layer 11 of a ViT-B is the last.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from open_clip import CLIP, CustomTextCLIP, get_tokenizer
from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict
from open_clip.transformer import VisionTransformer
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vitpeel.errors import InputError
from vitpeel.models import Device, DType, room
from vitpeel.trunk import Block, Linear, Norm, Trunk

CONFIG = "open_clip_config.json"
# Beside other safetensors these are open_clip's: model.safetensors of a hub folder is transformers' copy.
_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_TEXTS_AT_ONCE = 128


@dataclass(frozen=True)
class Clip:
    """The parts of a CLIP, on one device.

    trunk: the picture's tower, whose `pre` is ln_pre and whose `post` is ln_post; projection: [width,
    embedding]; texts: sentences -> unit rows [n, embedding], float32; preprocess: RGB pictures -> [n, 3,
    height, width]; preprocessing: the settings of that step as JSON, for provenance; grid: patches down and
    across a picture.
    """

    trunk: Trunk
    projection: Tensor
    texts: Callable[[Sequence[str]], Tensor]
    preprocess: Callable[[Sequence[Image.Image]], Tensor]
    preprocessing: str
    grid: tuple[int, int]

    def project(self, z: Tensor) -> Tensor:
        """The embedding, not normalised, of what CLS holds after the last block.

        z: [..., width] -> [..., embedding].
        """
        return self.trunk.readout(z) @ self.projection

    def pictures(self, pixels: Tensor) -> Tensor:
        """Unit rows, as `texts` gives them.  [n, 3, height, width] -> [n, embedding]."""
        z = self.trunk.embed(pixels)
        for layer in range(self.trunk.depth):
            z = self.trunk.block(layer, z)
        return F.normalize(self.project(z[:, 0]), dim=-1)


def load(checkpoint: Path, *, dtype: DType = "float32", device: Device = "auto") -> Clip:
    """Load a checkpoint folder.

    dtype: of the matrices in the picture's tower; the stream and all texts are in float32.

    Raises InputError, one line, if the folder is not such a checkpoint, is of an architecture that the trunk
    does not have, or its weights are missing, pickled or of another shape.
    """
    config = _read_config(checkpoint)
    model = _read_model(checkpoint, config["model_cfg"]).to(room.place_of(device))
    for module in model.visual.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.MultiheadAttention)):
            module.to(getattr(torch, dtype))
    return clip_of(model, _read_tokenizer(checkpoint, model), _pictures(checkpoint, config))


def clip_of(model: Any, tokenizer: Any, pictures: PreprocessCfg) -> Clip:
    """The parts of a model of open_clip in memory, whose parameters they share.

    tokenizer: as `open_clip.get_tokenizer` gives it; pictures: how they are prepared.
    """
    trunk, transform = trunk_of(model.visual), image_transform_v2(pictures, is_train=False)
    place = trunk.positions.device

    def preprocess(images: Sequence[Image.Image]) -> Tensor:
        return torch.stack([transform(image) for image in images]).to(trunk.positions)

    @torch.inference_mode()
    def texts(sentences: Sequence[str]) -> Tensor:
        rows = [torch.empty(0, model.visual.output_dim, device=place)]
        for start in range(0, len(sentences), _TEXTS_AT_ONCE):
            tokens = tokenizer(list(sentences[start : start + _TEXTS_AT_ONCE])).to(place)
            rows.append(model.encode_text(tokens, normalize=True))
        return torch.cat(rows)

    return Clip(
        trunk=trunk,
        projection=model.visual.proj,
        texts=texts,
        preprocess=preprocess,
        preprocessing=_settings(pictures),
        grid=model.visual.grid_size,
    )


def preprocessing(checkpoint: Path) -> str:
    """`Clip.preprocessing` of a checkpoint folder, without its weights."""
    return _settings(_pictures(checkpoint, _read_config(checkpoint)))


def trunk_of(visual: Any) -> Trunk:
    """Map a picture's tower of open_clip onto the trunk; a parameter without a place is refused."""
    if not isinstance(visual, VisionTransformer):
        raise InputError(f"open_clip model: its tower is a {type(visual).__name__}; a ViT is needed")
    if visual.attn_pool is not None or visual.pool_type != "tok":
        pooling = "attentional pooling" if visual.attn_pool is not None else f"pool_type {visual.pool_type}"
        raise InputError(f"open_clip model: {pooling}, but the embedding must be read from the class token")
    left = dict(visual.named_parameters())

    def linear(name: str) -> Linear:
        return Linear(left.pop(f"{name}.weight"), left.pop(f"{name}.bias", None))

    def norm(name: str) -> Norm:
        return Norm(left.pop(f"{name}.weight"), left.pop(f"{name}.bias"), visual.get_submodule(name).eps)

    def block(name: str) -> Block:
        return Block(
            norm1=norm(f"{name}.ln_1"),
            qkv=Linear(left.pop(f"{name}.attn.in_proj_weight"), left.pop(f"{name}.attn.in_proj_bias")),
            out=linear(f"{name}.attn.out_proj"),
            norm2=norm(f"{name}.ln_2"),
            up=linear(f"{name}.mlp.c_fc"),
            down=linear(f"{name}.mlp.c_proj"),
        )

    blocks = visual.transformer.resblocks
    trunk = Trunk(
        patches=linear("conv1"),
        cls=left.pop("class_embedding"),
        positions=left.pop("positional_embedding"),
        blocks=tuple(block(f"transformer.resblocks.{layer}") for layer in range(len(blocks))),
        post=norm("ln_post"),
        heads=blocks[0].attn.num_heads,
        activation=blocks[0].mlp.gelu,
        pre=norm("ln_pre") if "ln_pre.weight" in left else None,
    )
    left.pop("proj")
    if left:
        names = ", ".join(left)
        raise InputError(f"open_clip model: no place in the trunk for {names}; a plain ViT is needed")
    return trunk


def _read_config(checkpoint: Path) -> dict[str, Any]:
    """The folder's configuration; refused if its towers are not open_clip's own transformers."""
    path = checkpoint / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        model = config["model_cfg"]
        vision, text = model["vision_cfg"], model["text_cfg"]
    except FileNotFoundError as error:
        raise InputError(f"{checkpoint}: no {CONFIG}; name a folder in the layout of the hub") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"not readable as open_clip's configuration ({type(error).__name__}: {error})"
        raise InputError(f"{path}: {reason}; copy the checkpoint again") from error
    for name, part in (("vision_cfg", vision), ("text_cfg", text)):
        if not isinstance(part, dict):
            raise InputError(f"{path}: {name} is no mapping; copy the checkpoint again")
    if "timm_model_name" in vision:
        raise InputError(f"{path}: a timm tower ({vision['timm_model_name']}), but open_clip's ViT is needed")
    if isinstance(vision.get("layers"), list):
        raise InputError(f"{path}: a ResNet, but open_clip's ViT is needed")
    if "hf_model_name" in text:
        name = text["hf_model_name"]
        raise InputError(f"{path}: texts go through {name}, but open_clip's own text transformer is needed")
    if "multimodal_cfg" in model:
        raise InputError(f"{path}: a CoCa, but a CLIP is needed")
    return {"preprocess_cfg": {}, **config}


def _read_model(checkpoint: Path, settings: dict[str, Any]) -> Any:
    """The checkpoint's model, every weight from its safetensors file and in float32."""
    path = _weights(checkpoint)
    kind = CustomTextCLIP if settings.get("custom_text") else CLIP
    try:
        model: Any = kind(**{name: value for name, value in settings.items() if name != "custom_text"})
    except (TypeError, ValueError, AssertionError) as error:
        reason = f"model_cfg is not a CLIP's ({type(error).__name__}: {error})"
        raise InputError(f"{checkpoint / CONFIG}: {reason}; copy the checkpoint again") from error
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not readable ({error}); copy the checkpoint again") from error
    own = model.state_dict()
    for name in sorted(own.keys() & weights.keys()):
        found, wanted = tuple(weights[name].shape), tuple(own[name].shape)
        if found != wanted:
            shapes = f"{name} is {found} in the weights but {wanted} by {CONFIG}"
            raise InputError(f"{path}: {shapes}; the two are not of one checkpoint, copy both again")
    for names, verb in ((own.keys() - weights.keys(), "missing"), (weights.keys() - own.keys(), "too many")):
        if names:
            count = f"{len(names)} weights are {verb}, such as {min(names)}"
            raise InputError(f"{path}: {count}; copy the checkpoint again, as open_clip saves it")
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False)


def _weights(checkpoint: Path) -> Path:
    """The folder's safetensors file; pickles are never opened, whatever lies beside them."""
    found = sorted(checkpoint.glob("*.safetensors"))
    named = [checkpoint / name for name in _WEIGHTS if checkpoint / name in found]
    if named or len(found) == 1:
        return (named or found)[0]
    if found:
        names = ", ".join(path.name for path in found)
        raise InputError(f"{checkpoint}: {names}; rename the one that is open_clip's to {_WEIGHTS[0]}")
    pickled = ", ".join(sorted(path.name for pattern in _PICKLES for path in checkpoint.glob(pattern)))
    reason = f"only {pickled}, which may run code when opened" if pickled else "no weights"
    raise InputError(f"{checkpoint}: {reason}; put {_WEIGHTS[0]} there")


def _read_tokenizer(checkpoint: Path, model: Any) -> Any:
    """The folder's tokenizer, or CLIP's; refused if it knows more words than the model."""
    try:
        tokenizer: Any = get_tokenizer(f"local-dir:{checkpoint}")
    except (OSError, ValueError, TypeError) as error:
        reason = f"no usable tokenizer: {error}"
        raise InputError(f"{checkpoint}: {reason}; save the tokenizer into the same folder") from error
    words = len(tokenizer.tokenizer) if hasattr(tokenizer, "tokenizer") else tokenizer.vocab_size
    if words > model.vocab_size:
        sizes = f"the tokenizer has {words} words but text_cfg.vocab_size is {model.vocab_size}"
        raise InputError(f"{checkpoint}: {sizes}; the two are not of one checkpoint, copy both again")
    return tokenizer


def _pictures(checkpoint: Path, config: dict[str, Any]) -> PreprocessCfg:
    """The folder's settings over open_clip's defaults, at the size the model takes, whatever is stored."""
    size = config["model_cfg"]["vision_cfg"].get("image_size", PreprocessCfg().size)
    try:
        stored = merge_preprocess_dict(PreprocessCfg(), config["preprocess_cfg"])
        pictures = PreprocessCfg(**{**stored, "size": size})
        image_transform_v2(pictures, is_train=False)
    except (AttributeError, TypeError, ValueError, AssertionError) as error:
        reason = f"preprocess_cfg is not open_clip's ({type(error).__name__}: {error})"
        raise InputError(f"{checkpoint / CONFIG}: {reason}; copy the checkpoint again") from error
    return pictures


def _settings(pictures: PreprocessCfg) -> str:
    return json.dumps(asdict(pictures), sort_keys=True)
