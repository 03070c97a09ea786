"""What the demo captioner learns by: captions, and three auxiliary tasks that are thrown away."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import InstructBlipForConditionalGeneration, InstructBlipProcessor

from vitpeel.demo.architecture import QUERIES, WIDTH
from vitpeel.demo.batches import BACKGROUND, CONCEPTS, Batch
from vitpeel.demo.words import PROMPT


class Losses(nn.Module):
    """The captioner with the three auxiliary heads that training uses and then throws away."""

    def __init__(self, model: InstructBlipForConditionalGeneration, processor: InstructBlipProcessor) -> None:
        super().__init__()
        self.model = model
        self.cls_words = nn.Linear(WIDTH, len(CONCEPTS))
        self.query_words = nn.Linear(WIDTH, len(CONCEPTS))
        self.patch_owner = nn.Linear(WIDTH, BACKGROUND + 1)
        self.prompt: Tensor
        self.qformer_prompt: Tensor
        for name, tokenizer in (
            ("prompt", processor.tokenizer),
            ("qformer_prompt", processor.qformer_tokenizer),
        ):
            self.register_buffer(name, torch.tensor([tokenizer(PROMPT).input_ids]), persistent=False)

    def queries(self, z: Tensor) -> Tensor:
        """Read the normalised vision tokens [B, T, d] with the Q-Former: [B, queries, d]."""
        batch = len(z)
        read: Tensor = self.model.qformer(
            input_ids=self.qformer_prompt.expand(batch, -1),
            query_embeds=self.model.query_tokens.expand(batch, -1, -1),
            encoder_hidden_states=z,
        ).last_hidden_state
        return read[:, :QUERIES]

    def prefix(self, queries: Tensor) -> Tensor:
        """Return what T5's encoder reads: the projected queries, then the prompt's words: [B, tokens, d]."""
        words = self.model.language_model.get_input_embeddings()(self.prompt.expand(len(queries), -1))
        return torch.cat([self.model.language_projection(queries), words], dim=1)

    def forward(self, batch: Batch, auxiliary: float) -> Tensor:
        """Return the training loss of a batch, a scalar."""
        z = self.model.vision_model(batch.pixels).last_hidden_state
        queries = self.queries(z)
        caption: Tensor = self.model.language_model(
            inputs_embeds=self.prefix(queries), labels=batch.labels
        ).loss
        words = F.binary_cross_entropy_with_logits(self.cls_words(z[:, 0]), batch.concepts)
        words = words + F.binary_cross_entropy_with_logits(self.query_words(queries.mean(1)), batch.concepts)
        patches = F.cross_entropy(self.patch_owner(z[:, 1:]).flatten(0, 1), batch.owners.flatten())
        return caption + auxiliary * (10 * words + patches)
