"""Models and indexes of a run in memory: each is loaded once a process, by whoever asks for it first."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from vitpeel.app.results import Offer, Study
from vitpeel.errors import VitpeelError

if TYPE_CHECKING:
    from vitpeel.clip.neighbours import Index
    from vitpeel.models import Model
    from vitpeel.models.openclip import Clip

T = TypeVar("T")
log = logging.getLogger(__name__)


class Once(Generic[T]):
    """A value that is made when it is first asked for; others who ask meanwhile wait for it.

    Where making it fails, the next who asks tries again.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._made: list[T] = []

    def __call__(self) -> T:
        """The value."""
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]


class Engines:
    """The captioner, the CLIP models and their indexes; all are only read after they are loaded."""

    def __init__(self, offer: Offer) -> None:
        self.captioner: Once[Model] = Once(lambda: _captioner(offer))
        self._clips = {name: _clip_of(offer, study) for name, study in offer.studies.items()}
        self._indexes = {name: _index_of(offer, study, self.clip) for name, study in offer.studies.items()}

    def warm(self, model: str | None) -> threading.Thread:
        """Begin to load what the first visitor will need, so that he waits less; model: a CLIP model."""

        def load() -> None:
            try:
                if model is not None:
                    self.index(model)
                self.captioner()
            except VitpeelError as refusal:
                log.warning("%s", refusal)  # whoever asks for it is told again

        thread = threading.Thread(target=load, daemon=True)
        thread.start()
        return thread

    def clip(self, name: str) -> Clip:
        """The CLIP model of this name."""
        return self._clips[name]()

    def index(self, name: str) -> Index:
        """What the heads of that model give to the candidates."""
        return self._indexes[name]()


def _captioner(offer: Offer) -> Model:
    from vitpeel import models  # here: it takes transformers, hence ten seconds

    chosen = offer.settings.model
    return models.load(
        chosen.kind,
        chosen.checkpoint,
        prompt=chosen.prompt,
        dtype=chosen.dtype,
        device=chosen.device,
        readout=chosen.readout,
        qformer_dtype=chosen.qformer_dtype,
        language_dtype=chosen.language_dtype,
    )


def _clip_of(offer: Offer, study: Study) -> Once[Clip]:
    def load() -> Clip:
        from vitpeel.models import openclip

        chosen = offer.settings.clip
        assert chosen is not None  # else there are no studies
        return openclip.load(study.checkpoint, dtype=chosen.dtype, device=chosen.device)

    return Once(load)


def _index_of(offer: Offer, study: Study, clip: Callable[[str], Clip]) -> Once[Index]:
    def load() -> Index:
        from vitpeel.clip import feature_files, neighbours

        chosen = offer.settings.clip
        assert chosen is not None
        # refused, if the index was made with another model
        made = feature_files.origin_of(clip(study.name), study.checkpoint, chosen.dtype, study.layers)
        return neighbours.open_index(study.index, made)

    return Once(load)
