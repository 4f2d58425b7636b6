"""Lists the models that are known by name, and fetches their weights.

fgaseg-d2 models
fgaseg-d2 models catseg_vitb16 --fetch
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from .command_line import Command, Parser, say
from .segmenting.messages import library_warnings

if TYPE_CHECKING:
    from fgaseg_d2.config.models import KnownModel

_EPILOG = """\
A name goes wherever a model is chosen: fgaseg-d2 segment photo.jpg --model catseg_vitb16,
OpenVocabPredictor("catseg_vitb16"), fgaseg-d2 evaluate --model catseg_vitb16. It stands for the
configuration, the weights and the protocol that the published figures (mIoU in percent) were
measured with. So does a folder that `fgaseg-d2 export` wrote, and hf://owner/name for a
repository on a hub with such files.
"""


def _add_arguments(parser: Parser) -> None:
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="these models (default: all)")
    add("--fetch", action="store_true", help="fetch the weights of the models that are named")
    add("--json", action="store_true", help="write a list for programs instead")


def _check(options: argparse.Namespace) -> None:
    if options.fetch and not options.names:
        raise ValueError("expected the names of models with --fetch, got none; name some")


def _run(options: argparse.Namespace) -> None:
    from fgaseg_d2.config.models import MODELS, known_model
    from fgaseg_d2.engine.errors import of_the_command_line

    with of_the_command_line():
        models = [known_model(name) for name in options.names] or list(MODELS.values())
    with library_warnings():
        found = [_described(model, options.fetch) for model in models]
    if options.json:
        say(json.dumps(found, indent=2))
        return
    for facts in found:
        sys.stdout.write(_text(facts))


def _described(model: KnownModel, fetch: bool) -> dict[str, Any]:
    """A model's facts in plain types."""
    from fgaseg_d2.checkpoint.files import BUNDLED
    from fgaseg_d2.config.loading import load_config
    from fgaseg_d2.engine.run_description import describe_protocol
    from fgaseg_d2.predict.kept_weights import fetch_weights, kept_weights

    cfg = load_config(model.name, device="cpu")
    path = fetch_weights(cfg) if fetch else kept_weights(cfg)
    address = cfg.MODEL.WEIGHTS or f"{cfg.MODEL.CLIP.NAME}, {cfg.MODEL.CLIP.PRETRAINED}"
    size = round(os.path.getsize(path) / 1e6) if path else model.megabytes
    return {
        "name": model.name,
        "method": model.method,
        "tower": model.tower,
        "knows": model.knows,
        "license": model.license,
        "megabytes": size,
        "here": path,
        "in_package": cfg.MODEL.WEIGHTS.startswith(BUNDLED),
        "weights": address,
        "protocol": describe_protocol(cfg),
        "miou": dict(model.figures),
        "source": model.source,
    }


def _text(facts: dict[str, Any]) -> str:
    """A model's facts in a few lines."""
    here = "in the package" if facts["in_package"] else facts["here"] or "not here, fetched on use"
    figures = ", ".join(f"{name} {value}" for name, value in facts["miou"].items())
    lines = (
        f"{facts['method']} on {facts['tower']}; knows {facts['knows']}",
        f"weights: {facts['megabytes']} MB, {facts['license']}; {here}",
        f"published mIoU: {figures} ({facts['source']})",
        f"protocol: {facts['protocol']}",
    )
    return "\n".join((facts["name"], *(f"    {line}" for line in lines))) + "\n"


COMMAND = Command(
    "List the models that are known by name: method, tower, size, licence, published figures, "
    "protocol, and whether the weights are here.",
    *(_add_arguments, _run, _EPILOG, _check),
)
