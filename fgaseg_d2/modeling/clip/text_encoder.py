"""CLIP's text tower: a vocabulary -> one embedding for each entry, cached.

Letters: E entries of the vocabulary, C joint embedding, L context length.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from detectron2.config import CfgNode, configurable
from open_clip.transformer import Transformer
from torch import Tensor, nn
from torch.nn import functional as F

from .loading import build_tokenizer, load_clip, needed_pretrained
from .prompts import encode_prompts
from .templates import resolve_templates
from .text_cache import TextCache, fingerprint

logger = logging.getLogger(__name__)

Entries = tuple[tuple[str, ...], ...]

# Fewer prompts take less time than the digest of the weights that they are filed under.
_MIN_PROMPTS_ON_DISK = 32


class CLIPTextEncoder(nn.Module):
    """Class names -> unit-norm text embeddings.

    The embeddings of the last vocabularies are kept as long as the weights do not change, and
    only while no gradient has to flow into them.

    Args:
        clip: an open_clip model; its image tower is dropped.
        tokenizer: list of strings -> tokens, len x L.
        templates: sentences with one "{}".
        cache_size: vocabularies to keep.
        batch_size: prompts that go through the tower together, which bounds the memory.
        disk_cache: keeps embeddings between runs, None for none.
        gradient_checkpointing: recompute the blocks' activations in the backward pass.
    """

    @configurable
    def __init__(
        self,
        clip: nn.Module,
        tokenizer: Callable[[list[str]], Tensor],
        templates: Sequence[str],
        *,
        cache_size: int = 16,
        batch_size: int = 256,
        disk_cache: TextCache | None = None,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        # Neither is part of the text tower, and DDP refuses parameters that nothing uses.
        for part in ("visual", "logit_scale", "logit_bias"):
            if hasattr(clip, part):
                delattr(clip, part)
        # Towers with a class of their own (CustomTextCLIP) keep the text part in `text`.
        self.clip = clip
        text = getattr(clip, "text", clip)
        if not isinstance(getattr(text, "transformer", None), Transformer):
            raise ValueError(
                "expected MODEL.CLIP.NAME to be a CLIP with open_clip's own text transformer, got "
                f"a text tower of type {type(text).__name__}; choose another model."
            )
        if gradient_checkpointing:
            text.transformer.grad_checkpointing = True
        self.tokenizer = tokenizer
        self.templates = tuple(templates)
        self.cache_size, self.batch_size = cache_size, batch_size
        self.disk_cache = disk_cache
        self._cache: OrderedDict[tuple, Tensor] = OrderedDict()

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        """The arguments of the constructor, from a configuration."""
        clip_cfg, weights = cfg.MODEL.CLIP, cfg.MODEL.WEIGHTS
        pretrained = needed_pretrained(clip_cfg.PRETRAINED, weights, cfg.MODEL.WEIGHTS_PARTIAL)
        return {
            "clip": load_clip(clip_cfg.NAME, pretrained),
            "tokenizer": build_tokenizer(clip_cfg.NAME),
            "templates": resolve_templates(cfg.MODEL.FGASEG.PROMPT_TEMPLATES),
            "disk_cache": TextCache(clip_cfg.TEXT_CACHE_SIZE * 2**20)
            if clip_cfg.TEXT_CACHE_SIZE
            else None,
            "gradient_checkpointing": clip_cfg.GRADIENT_CHECKPOINTING,
        }

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer blocks."""
        return getattr(self.clip, "text", self.clip).transformer.resblocks

    def forward(self, entries: Entries) -> Tensor:
        """Embed a vocabulary.

        Args:
            entries: for each score channel the names it stands for; the embeddings of several
                names (and of several templates) are averaged and normalised again.

        Returns:
            E x C, unit norm.
        """
        if torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters()):
            return self._encode(entries)
        # Autocast changes what is computed, so it is part of the key.
        device = next(self.parameters()).device
        key = (entries, self._weights_state(), _autocast_dtype(device))
        if key not in self._cache:
            # Embeddings first made in inference mode may serve a training step later.
            with torch.inference_mode(False), torch.no_grad():
                self._cache[key] = self._from_disk(entries)
        self._cache.move_to_end(key)
        while len(self._cache) > self.cache_size:
            self._cache.popitem(last=False)
        return self._cache[key]

    def clear_cache(self) -> None:
        """Forget all embeddings; needed after writing the weights through ``Tensor.data``."""
        self._cache.clear()

    def train(self, mode: bool = True) -> "CLIPTextEncoder":
        """Switch the mode; clears the cache, as weight averaging writes behind autograd."""
        self.clear_cache()
        return super().train(mode)

    def _weights_state(self) -> tuple:
        """Changes whenever an optimiser, a checkpoint or a move writes the parameters."""
        return tuple((p.data_ptr(), p._version, p.dtype) for p in self.parameters())

    def _from_disk(self, entries: Entries) -> Tensor:
        """Embeddings of an earlier run, or new ones, which are stored."""
        prompts = len(self.templates) * sum(len(entry) for entry in entries)
        # Weights that train change with every step.
        if self.disk_cache is None or self.training or prompts < _MIN_PROMPTS_ON_DISK:
            return self._encode(entries)
        weight = next(self.parameters())
        settings = entries, self.templates, _autocast_dtype(weight.device)
        key = fingerprint(self.state_dict(), *settings)
        stored = self.disk_cache.get(key)
        if stored is not None:
            return stored.to(weight.device)
        embeddings = self._encode(entries)
        self.disk_cache.put(key, embeddings)
        return embeddings

    def _encode(self, entries: Entries) -> Tensor:
        # A name's prompts are encoded once, however many entries share it.
        names = list(dict.fromkeys(name for entry in entries for name in entry))
        prompts = [template.replace("{}", name) for name in names for template in self.templates]
        device = next(self.parameters()).device
        tokens = self.tokenizer(prompts).to(device)
        if (tokens[:, -1] != 0).any():
            logger.warning(
                "Some prompts fill CLIP's %d tokens and may have been cut; shorten the longest "
                "names if they look alike to the model.",
                tokens.shape[1],
            )
        embeddings = encode_prompts(self.clip, tokens, self.batch_size)
        if len(self.templates) > 1:
            embeddings = F.normalize(
                embeddings.unflatten(0, (-1, len(self.templates))).mean(1), dim=-1
            )
        index_of = {name: index for index, name in enumerate(names)}
        if all(len(entry) == 1 for entry in entries):
            return embeddings[[index_of[entry[0]] for entry in entries]]
        means = [embeddings[[index_of[name] for name in entry]].mean(0) for entry in entries]
        return F.normalize(torch.stack(means), dim=-1)


def _autocast_dtype(device: torch.device) -> torch.dtype | None:
    if not torch.is_autocast_enabled(device.type):
        return None
    return torch.get_autocast_dtype(device.type)
