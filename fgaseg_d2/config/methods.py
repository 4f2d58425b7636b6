"""What a method says of its own keys: its `config.py` makes a `MethodConfig` and registers it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from detectron2.config import CfgNode

from .rules import Rule
from .values import RULES, value_of

# Without CACHE: whoever wants nothing kept has that.
_PROPOSALS = tuple(
    key for key in RULES if key.startswith("TEST.PROPOSALS.") and not key.endswith(".CACHE")
)


@dataclass(frozen=True)
class Part:
    """Keys that are read only where another key has some values.

    Attributes:
        switch: the other key.
        keys: whole keys, or beginnings that end in a dot.
        on: whether a value of the switch lets them be read.
        unless: a flag that lets them be read in any case.
        only_with: a flag without which they are read in any case.
    """

    switch: str
    keys: tuple[str, ...]
    on: Callable[[Any], bool] = bool
    unless: str = ""
    only_with: str = ""

    def reads(self, cfg: CfgNode) -> bool:
        """Whether the keys are read."""
        return (
            self.on(value_of(cfg, self.switch))
            or bool(self.unless and value_of(cfg, self.unless))
            or bool(self.only_with and not value_of(cfg, self.only_with))
        )


@dataclass(frozen=True)
class MethodConfig:
    """The keys of a method, and what is said of them wherever a configuration is looked at.

    Attributes:
        architecture: its name in META_ARCH_REGISTRY.
        node: where its keys are, such as "MODEL.FGASEG"; "" for a method without.
        add_keys: adds them, with their defaults, to a configuration.
        rules: what each may be, by the key within the node.
        relations: each returns what does not fit together, or None.
        parts: keys that are read only where another key has some values. That the keys of the node
            are read only where the architecture is chosen goes without saying.
        training_only: keys, or beginnings that end in a dot, that only training reads.
        kept: keys whose values a checkpoint brings when a run is resumed.
        grouping: keys that decide which parameters share a group of the optimiser.
        published: values of keys behind the method's published figures; none where it has not one
            protocol.
        protocol: keys that belong to the description of a protocol, by what they are called there.
        other_weights: says which weights there are beside those of MODEL.CLIP and MODEL.WEIGHTS, ""
            for none.
        trained_on: what it learned without label maps from, "captions", or "nothing" where it is
            CLIP itself, as long as no MODEL.WEIGHTS are put into it. "" for all else: label maps,
            segments, or a model that is not for segmentation. Results stand beside those of the
            like.
        finds_segments: it looks for segments whatever TEST.SEGMENT_VOTE says.
    """

    architecture: str
    node: str = ""
    add_keys: Callable[[CfgNode], None] = field(default=lambda cfg: None)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    relations: tuple[Callable[[CfgNode], str | None], ...] = ()
    parts: tuple[Part, ...] = ()
    training_only: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    grouping: tuple[str, ...] = ()
    published: Mapping[str, Any] = field(default_factory=dict)
    protocol: Mapping[str, str] = field(default_factory=dict)
    other_weights: Callable[[CfgNode], str] = field(default=lambda cfg: "")
    trained_on: str = ""
    finds_segments: bool = False


METHODS: dict[str, MethodConfig] = {}


def register_method(method: MethodConfig) -> None:
    """Let `add_fgaseg_config` add a method's keys, and every check know them."""
    METHODS[method.architecture] = method
    RULES.update({f"{method.node}.{name}": rule for name, rule in method.rules.items()})


def chosen_method(cfg: CfgNode) -> MethodConfig:
    """The method that a configuration chooses; an empty one for a model of one's own."""
    name = cfg.MODEL.META_ARCHITECTURE
    return METHODS.get(name, MethodConfig(name))


def parts_of_methods(cfg: CfgNode) -> Iterator[Part]:
    """The keys of methods that are read only where another key has some values."""
    name = cfg.MODEL.META_ARCHITECTURE
    # A model of one's own may read any key.
    if name not in METHODS:
        return
    yield from METHODS[name].parts
    if not METHODS[name].finds_segments:
        yield Part("TEST.SEGMENT_VOTE", _PROPOSALS)
    for other, method in METHODS.items():
        if method.node and other != name:
            yield Part("MODEL.META_ARCHITECTURE", (f"{method.node}.",), lambda chosen: False)
