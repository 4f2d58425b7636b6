"""CLIP's text tower: a vocabulary -> one embedding for each entry, cached.

Letters: E entries of the vocabulary, C joint embedding, L context length.
"""

import logging
from collections.abc import Callable, Sequence

import torch
from detectron2.config import CfgNode, configurable
from detectron2.utils.logger import log_first_n
from open_clip.hf_model import HFTextEncoder
from open_clip.transformer import Transformer
from torch import Tensor, nn
from torch.nn import functional as F

from ...checkpoint.kept_tensors import fingerprint
from ...config.key_names import built_from_keys
from ...config.renamed_keys import setting
from ..layers.recording import without_recording
from ..towers.base import check_training_mode, train_blocks
from ..towers.loading import load_clip, needed_pretrained
from ..towers.tokenizers import build_tokenizer
from .cache import TextCache
from .learned_prompts import add_block_tokens
from .name_tokens import warnings_about
from .prompts import (
    blocks_of,
    describe_tower,
    encode_prompts,
    reads_at_the_end_of_text,
    text_part,
)
from .recent_embeddings import RecentEmbeddings
from .templates import resolve_templates

logger = logging.getLogger(__name__)

Entries = tuple[tuple[str, ...], ...]

# Fewer prompts take less time than the digest of the weights that they are filed under.
_MIN_PROMPTS_ON_DISK = 32
# Part of the keys on disk, and raised whenever other embeddings are computed. Those of format 1 may
# be wrong: threads that shared an encoder disturbed each other.
_FORMAT = 2


class CLIPTextEncoder(nn.Module):
    """Class names -> unit-norm text embeddings.

    The embeddings of the last vocabularies are kept as long as the weights do not change, and
    only while no gradient has to flow into them. Several threads may share an encoder.

    Args:
        clip: an open_clip model, such as `load_clip` gives; its image tower is dropped.
        tokenizer: list of strings -> tokens, len x L; see `build_tokenizer`.
        templates: sentences with one "{}"; see `resolve_templates`.
        cache_size: vocabularies to keep.
        batch_size: prompts that go through the tower together, which bounds the memory.
        disk_cache: keeps embeddings between runs, None for none.
        gradient_checkpointing: recompute the blocks' activations in the backward pass.

    Attributes:
        block_tokens: learned tokens, see `learn_prompts`: blocks x n x width; None for none.
    """

    block_tokens: nn.Parameter | None

    @built_from_keys(
        name="MODEL.CLIP.NAME",
        clip="MODEL.CLIP.NAME",
        pretrained="MODEL.CLIP.PRETRAINED",
        templates="MODEL.WORDS.PROMPT_TEMPLATES",
        tokenizer="MODEL.CLIP.TOKENIZER",
    )
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
        # None is part of the text tower, and DDP refuses parameters that nothing uses.
        for part in ("visual", "logit_scale", "logit_bias", "text_decoder"):
            if hasattr(clip, part):
                delattr(clip, part)
        self.clip = clip
        text = text_part(clip)
        own = isinstance(getattr(text, "transformer", None), Transformer)
        if not own and not isinstance(text, HFTextEncoder):
            raise ValueError(
                "expected `clip` to be a CLIP with a text transformer of open_clip, its own or one "
                f"of transformers, got a text tower of type {type(text).__name__}; choose another "
                "model."
            )
        if gradient_checkpointing and own:
            text.transformer.grad_checkpointing = True
        elif gradient_checkpointing:
            text.set_grad_checkpointing()
        self.tokenizer = tokenizer
        self.templates = tuple(templates)
        self.cache_size, self.batch_size = cache_size, batch_size
        self.disk_cache = disk_cache
        self._recent = RecentEmbeddings(cache_size)
        # What stands behind no text stands behind any that is not cut.
        self._padding = int(self._tokens([""])[0, -1])
        self.register_parameter("block_tokens", None)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        """The arguments of the constructor, from a configuration."""
        clip_cfg, weights = cfg.MODEL.CLIP, cfg.MODEL.WEIGHTS
        pretrained = needed_pretrained(clip_cfg.PRETRAINED, weights, cfg.MODEL.WEIGHTS_PARTIAL)
        return {
            "clip": load_clip(clip_cfg.NAME, pretrained),
            "tokenizer": build_tokenizer(clip_cfg.NAME, clip_cfg.TOKENIZER),
            "templates": resolve_templates(setting(cfg, "MODEL.WORDS.PROMPT_TEMPLATES")),
            "disk_cache": TextCache(clip_cfg.TEXT_CACHE_SIZE * 2**20)
            if clip_cfg.TEXT_CACHE_SIZE
            else None,
            "gradient_checkpointing": clip_cfg.GRADIENT_CHECKPOINTING,
        }

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer blocks."""
        return blocks_of(self.clip)

    def train_only(self, mode: str) -> None:
        """Freeze and unfreeze the tower's parameters, in place; see `ImageTower.train_only`."""
        check_training_mode(mode)
        self.requires_grad_(mode == "scratch")
        train_blocks(self.blocks, mode)
        if self.block_tokens is not None:
            self.block_tokens.requires_grad_(True)

    def learn_prompts(self) -> None:
        """Learn what stands in place of the template's first four tokens before each block.

        The learned tokens begin as what stands there, so that embeddings stay as they are until
        they train, which they do whatever `train_only` says. Weights that bring the tower and no
        learned tokens set them anew.

        Raises:
            ValueError: not open_clip's causal text tower, or not one template with four tokens or
                more before the name.
        """
        add_block_tokens(self)

    def forward(self, entries: Entries) -> Tensor:
        """Embed a vocabulary.

        Args:
            entries: for each score channel the names it stands for; the embeddings of several
                names (and of several templates) are averaged and normalised again.

        Returns:
            E x C, unit norm.
        """
        # Whoever records the model gives it pictures, not words.
        if torch.jit.is_tracing() and not self.training:
            return without_recording(self, entries, device=self._device)
        if torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters()):
            self._check_names(entries)
            return self._encode(entries)
        recent, state = self._recent, self.state()
        key = (entries, state)
        stored = None if state is None else recent.get(key)
        if stored is not None:
            return stored
        # Embeddings first made in inference mode may serve a training step later.
        with torch.inference_mode(False), torch.no_grad():
            digest, disk = self._digest(entries, self._check_names(entries)), self.disk_cache
            stored = None if digest is None or disk is None else disk.get(digest)
            embeddings = self._encode(entries) if stored is None else stored.to(self._device)
        # Another thread may have written the weights, or cleared the cache, meanwhile.
        if state is not None and self._recent is recent and self.state() == state:
            recent.put(key, embeddings)
            if digest is not None and disk is not None and stored is None:
                disk.put(digest, embeddings)
        return embeddings

    def encode_sentences(self, sentences: Sequence[str]) -> Tensor:
        """Embed sentences as they are, without a template; nothing is kept.

        Args:
            sentences: such as the captions of pictures.

        Returns:
            B x C, unit norm.
        """
        tokens = self._tokens(list(sentences))
        cut = int((tokens[:, -1] != self._padding).sum())
        if cut:
            log_first_n(
                logging.WARNING,
                f"{cut} of {len(sentences)} captions fill CLIP's {tokens.shape[1]} tokens and may "
                "have been cut; shorten them",
                n=2,
                name=__name__,
            )
        return encode_prompts(self.clip, tokens.to(self._device), self.batch_size)

    def clear_cache(self) -> None:
        """Forget all embeddings; needed after writing the weights through ``Tensor.data``."""
        # What another thread still computes goes into the old one.
        self._recent = RecentEmbeddings(self.cache_size)

    def train(self, mode: bool = True) -> "CLIPTextEncoder":
        """Switch the mode; clears the cache, as weight averaging writes behind autograd."""
        self.clear_cache()
        return super().train(mode)

    @property
    def _device(self) -> torch.device:
        return next(self.parameters()).device

    def state(self) -> tuple | None:
        """What decides embeddings beside the words; None where changes would not be seen.

        It changes whenever an optimiser, a checkpoint or a move writes the parameters.
        """
        parameters = tuple(self.parameters())
        if any(p.is_inference() for p in parameters):
            return None
        weights = tuple((p.data_ptr(), p._version, p.dtype) for p in parameters)
        # Autocast changes what is computed.
        return weights, self.templates, _autocast_dtype(self._device)

    def _digest(self, entries: Entries, tokens: Tensor) -> str | None:
        """The name of the embeddings in the disk cache; None if they do not belong there.

        Args:
            entries: the vocabulary.
            tokens: of a prompt with each name, which say what the tokenizer does.
        """
        prompts = len(self.templates) * sum(len(entry) for entry in entries)
        # Weights that train change with every step.
        if self.disk_cache is None or self.training or prompts < _MIN_PROMPTS_ON_DISK:
            return None
        settings = entries, self.templates, _autocast_dtype(self._device), tokens.tolist()
        return fingerprint(self.state_dict(), _FORMAT, describe_tower(self.clip), *settings)

    def _check_names(self, entries: Entries) -> Tensor:
        """Warn of names that CLIP does not see as they are; returns their tokens, names x L."""
        names = _names(entries)
        template = max(self.templates, key=len)
        tokens = self._tokens([template.replace("{}", name) for name in names])
        ends_at_largest = reads_at_the_end_of_text(self.clip)
        for message in warnings_about(
            names, tokens, padding=self._padding, ends_at_largest=ends_at_largest
        ):
            if self.training:
                # Every step has words, often the same.
                log_first_n(logging.WARNING, message, n=2, name=__name__)
            else:
                logger.warning(message)
        return tokens

    def _tokens(self, prompts: list[str]) -> Tensor:
        # Tokenizers put single numbers into a tensor, which a user's default device may not like.
        with torch.device("cpu"):
            return self.tokenizer(prompts)

    def _encode(self, entries: Entries) -> Tensor:
        # A name's prompts are encoded once, however many entries share it.
        names = _names(entries)
        prompts = [template.replace("{}", name) for name in names for template in self.templates]
        tokens = self._tokens(prompts).to(self._device)
        embeddings = encode_prompts(self.clip, tokens, self.batch_size, self.block_tokens)
        if len(self.templates) > 1:
            embeddings = F.normalize(
                embeddings.unflatten(0, (-1, len(self.templates))).mean(1), dim=-1
            )
        index_of = {name: index for index, name in enumerate(names)}
        if all(len(entry) == 1 for entry in entries):
            return embeddings[[index_of[entry[0]] for entry in entries]]
        means = [embeddings[[index_of[name] for name in entry]].mean(0) for entry in entries]
        return F.normalize(torch.stack(means), dim=-1)


def _names(entries: Entries) -> list[str]:
    """Every name of a vocabulary once."""
    return list(dict.fromkeys(name for entry in entries for name in entry))


def _autocast_dtype(device: torch.device) -> torch.dtype | None:
    if not torch.is_autocast_enabled(device.type):
        return None
    return torch.get_autocast_dtype(device.type)
