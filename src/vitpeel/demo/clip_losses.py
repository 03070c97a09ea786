"""What the demo CLIPs learn by: texts against pictures, and which object covers each patch (thrown away)."""

from __future__ import annotations

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitpeel.demo.clip_batches import Batch
from vitpeel.demo.clip_pictures import BACKGROUND, OWNERS


def contrastive(logits: Tensor, pairs: Tensor, wrong: Tensor) -> Tensor:
    """Return the mean loss of the pairs, each against the wrong ones of its row and of its column.

    It is CLIP's loss, but a text that is true of a picture by chance is no negative of it.

    Parameters
    ----------
    logits
        [T, B], texts by pictures.
    pairs, wrong
        [T, B] bool; an entry may be neither.
    """
    negatives = logits.masked_fill(~wrong, float("-inf"))
    row = F.softplus(negatives.logsumexp(1, keepdim=True) - logits)
    column = F.softplus(negatives.logsumexp(0, keepdim=True) - logits)
    return (row + column)[pairs].mean() / 2


class ClipLosses(nn.Module):
    """A model with the auxiliary head that training uses and then throws away."""

    def __init__(self, model: open_clip.CLIP) -> None:
        super().__init__()
        self.model = model
        self.side: int = model.visual.grid_size[0]
        self.patch_owner = nn.Linear(model.visual.ln_post.normalized_shape[0], BACKGROUND + 1)

    def see(self, pixels: Tensor, keep: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return embeddings [B, e], last patch tokens [B, n, d] and their places [B, n]; n of them kept."""
        visual = self.model.visual
        x = visual._embeds(pixels)
        patches = x.shape[1] - 1
        kept = torch.rand(len(x), patches, device=x.device).argsort(1)[:, : max(1, round(keep * patches))]
        chosen = kept[..., None].expand(-1, -1, x.shape[2])
        x = torch.cat([x[:, :1], x[:, 1:].gather(1, chosen)], dim=1)
        x = visual.ln_post(visual.transformer(x))
        return x[:, 0] @ visual.proj, x[:, 1:], kept

    def forward(self, batch: Batch, keep: float, auxiliary: float) -> Tensor:
        """Return the training loss of a batch, a scalar; `keep`: the share of the patches that is seen."""
        images, patches, kept = self.see(batch.pixels, keep)
        texts = self.model.encode_text(batch.texts, normalize=True)
        scale = self.model.logit_scale.clamp(max=4.6).exp()
        loss = contrastive(scale * texts @ F.normalize(images, dim=-1).T, batch.pairs, batch.wrong)
        step = OWNERS // self.side  # a large patch is where its middle is
        owners = batch.owners[:, step // 2 :: step, step // 2 :: step].flatten(1).gather(1, kept)
        return loss + auxiliary * F.cross_entropy(self.patch_owner(patches).flatten(0, 1), owners.flatten())
