"""Convert a checkpoint between this package's format and that of FGA-seg and CAT-Seg.

fgaseg-d2 convert model_base.pth model_base.safetensors
fgaseg-d2 convert output/model_final.pth reference.pth --to reference
fgaseg-d2 convert model_final.pth part.safetensors --without-clip clip.safetensors
fgaseg-d2 convert model_final.pth clip.safetensors --to open_clip
"""

import argparse

from .command_line import Command, Parser, place, say


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "input",
        type=place,
        metavar="IN",
        help="checkpoint of this package, of the authors' code (FGA-seg) or of CAT-Seg: .pth or "
        ".safetensors, a file or an http(s) address",
    )
    parser.add_argument(
        "output", type=place, metavar="OUT", help="file to write, .pth or .safetensors"
    )
    parser.add_argument(
        "--to",
        choices=("fgaseg_d2", "reference", "open_clip"),
        default="fgaseg_d2",
        help="names to write: this package's; with 'reference' those of the authors' code; with "
        "'open_clip' its CLIP alone, for MODEL.CLIP.PRETRAINED (default: %(default)s)",
    )
    parser.add_argument(
        "--half", action="store_true", help="write half precision (float16): half the size"
    )
    parser.add_argument(
        "--without-clip",
        type=place,
        default="",
        metavar="CLIP",
        help="write a part file: without what this CLIP file (.safetensors, open_clip's names) "
        "holds, but with its SHA-256; it is loaded with that file as MODEL.CLIP.PRETRAINED",
    )


def convert(source: str, target: str, to: str, *, half: bool = False, clip: str = "") -> str:
    """Convert one file.

    Args:
        source: path or URL of a checkpoint.
        target: path to write, .pth or .safetensors.
        to: "fgaseg_d2", "reference" or "open_clip".
        half: whether to write floating-point tensors as float16.
        clip: path or URL of a CLIP file whose tensors are left out, "" for none.

    Returns:
        What was done, in one line.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: no checkpoint of this family, or a target with another ending.
    """
    from fgaseg_d2.checkpoint.clip_names import clip_of
    from fgaseg_d2.checkpoint.files import read_checkpoint, write_checkpoint
    from fgaseg_d2.checkpoint.formats import recognise
    from fgaseg_d2.checkpoint.part_files import CLIP_SHA256
    from fgaseg_d2.checkpoint.weight_checks import check_values
    from fgaseg_d2.methods.fgaseg.parameter_names import to_reference
    from fgaseg_d2.wording import plain

    loaded = read_checkpoint(source, setting="IN")
    state, kind = recognise(loaded["model"])
    sha256 = loaded.get(CLIP_SHA256, "")
    if to != "open_clip" and not any(
        name.startswith(("sem_seg_head.", "decoder.")) for name in state
    ):
        raise ValueError(
            f"expected a checkpoint of a segmenter, got {plain(source)}, which has other "
            f"tensors ({plain(next(iter(state)), 60)}, ...)."
        )
    check_values(state, source)
    if clip:
        if to != "fgaseg_d2":
            raise ValueError(
                f"expected --without-clip without --to {to}, got both; only this package reads "
                "part files."
            )
        state, sha256 = part_of(state, clip, source)
    if to == "reference":
        if not any(name.startswith("sem_seg_head.aggregation.") for name in state):
            raise ValueError(
                "expected a checkpoint of FGAseg or CAT-Seg with --to reference, got "
                f"{plain(source)} of another method, for which that code has no names; leave "
                "--to out."
            )
        state = to_reference(state)
    if to == "open_clip":
        state = clip_of(state)
    if half:
        state = halved(state)
    write_checkpoint(target, state, clip_sha256=sha256)
    count = sum(tensor.numel() for tensor in state.values())
    return f"{source} ({kind}, {len(state)} tensors, {count:,} numbers) -> {target} ({to} names)"


def halved(state: dict) -> dict:
    """Tensors in half precision, where they hold numbers that are not whole.

    Raises:
        ValueError: a number is too large for it.
    """
    from fgaseg_d2.wording import plain

    state = {n: t.half() if t.is_floating_point() else t for n, t in state.items()}
    large = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    if large:
        raise ValueError(
            f"expected numbers that half precision can hold (65,504 at most), got larger ones "
            f"in {plain(large[0], 60)}; leave out --half."
        )
    return state


def part_of(state: dict, clip: str, source: str) -> tuple[dict, str]:
    """What a checkpoint holds beyond a CLIP.

    Args:
        state: tensors under the names of this package.
        clip: path or URL of the CLIP file.
        source: what messages call the checkpoint.

    Returns:
        The tensors that are left, and the SHA-256 of the CLIP file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no safetensors file, or the checkpoint does not stand on it.
    """
    from fgaseg_d2.checkpoint.file_kinds import SAFETENSORS, file_format, read_file
    from fgaseg_d2.checkpoint.files import locate_checkpoint
    from fgaseg_d2.checkpoint.part_files import sha256_of, without_clip
    from fgaseg_d2.io.file_errors import reading
    from fgaseg_d2.wording import plain

    local = locate_checkpoint(clip, "--without-clip")
    with reading(local, "CLIP weights"):
        if file_format(local, clip) != SAFETENSORS:
            raise ValueError(
                f"expected a .safetensors file for --without-clip, got {plain(clip)}; save its "
                "tensors with safetensors, and train with that file."
            )
        part = without_clip(state, read_file(local, clip))
        if len(part) == len(state):
            raise ValueError(
                f"expected the CLIP that {plain(source)} was trained on, got {plain(clip)}, which "
                f"has none of its {len(state)} tensors; name that of MODEL.CLIP.PRETRAINED."
            )
        return part, sha256_of(local)


def _run(options: argparse.Namespace) -> None:
    files = options.input, options.output
    say(convert(*files, options.to, half=options.half, clip=options.without_clip))


COMMAND = Command(
    "Convert a checkpoint: names and layout of the weights, and the kind of file. Weights only: "
    "the state of an optimiser is left behind.",
    _add_arguments,
    _run,
)
