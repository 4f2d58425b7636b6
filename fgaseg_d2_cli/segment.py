"""Segments pictures, videos or a camera's view by words, and writes overlays, labels and JSON."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .command_line import Command, Parser, add_model, add_weights, path, positive
from .segmenting import messages
from .segmenting.sources import Source, find_files, is_address, is_video, name_sources

if TYPE_CHECKING:
    from fgaseg_d2.predict.predictor import OpenVocabPredictor
    from fgaseg_d2.vocabulary import Vocabulary

_EPILOG = """\
examples:
  %(prog)s scene.png --vocab "red house,tree|pine,sky"
  %(prog)s "photos/*.jpg" clip.mp4 --vocab words.txt --background "wall,floor"
  %(prog)s scene.png --vocab "sun,moon" --explain
  %(prog)s photo.jpg --vocab "cat,sofa,floor" --model catseg_vitb16
  %(prog)s photos/ --vocab ade20k_150 --config-file vitb16_384 --weights model.pth

Exit code: 0; 1 if something failed; 2 for a wrong command line; 130 after Ctrl-C.
FGASEG_TRACEBACK=1 in the environment shows where an error arose.
"""
_EXPLAIN_WORDS = 12
FORMATS = (
    *("png", "coco", "coco_panoptic", "labelme", "label_studio", "cvat", "yolo", "geojson"),
    "geotiff",
)


def _add_arguments(parser: Parser) -> None:
    what = parser.add_argument_group("what to look at")
    what.add_argument(
        "pictures",
        nargs="*",
        metavar="PATH",
        help="pictures, videos, folders, quoted globs, web addresses",
    )
    what.add_argument(
        "--input", nargs="+", default=[], metavar="PATH", help="the same, as an option"
    )
    what.add_argument(
        "--webcam", nargs="?", type=int, const=0, metavar="INDEX", help="a camera, until Ctrl-C"
    )
    what.add_argument(
        "--bands",
        type=_bands,
        default=(),
        metavar="N,N,N",
        help="of pictures with many bands or 16 bits, such as a satellite's: those to show as red, "
        "green and blue, counted from 1, or one to show in grey (needs fgaseg_d2[geo])",
    )
    words = parser.add_argument_group("what to look for")
    words.add_argument(
        "--vocab",
        metavar="WORDS",
        help='"cat|kitten,dog" (a comma separates classes, a bar synonyms), a file (.txt with a '
        "class a line, or .json), a benchmark such as ade20k_150, or a registered dataset such as "
        "storybook_val (default: the configuration's own)",
    )
    words.add_argument(
        "--background", metavar="WORDS", help='what is of no interest, such as "wall,floor"'
    )
    words.add_argument(
        "--background-threshold",
        type=float,
        metavar="P",
        help="a pixel whose every class is less probable than this (0 to 1) is background",
    )
    words.add_argument(
        "--synonyms", choices=("max", "mean"), help="a class is its best synonym, or their mean"
    )
    model = parser.add_argument_group("model")
    add_model(model, "tiny")
    add_weights(model)
    model.add_argument("--opts", nargs="*", default=[], metavar="KEY VALUE", help="changes of keys")
    _add_results(parser.add_argument_group("results"))


def _add_results(out: argparse._ArgumentGroup) -> None:
    out.add_argument(
        "--output", type=path, default=Path("output/demo"), metavar="DIR", help="(%(default)s)"
    )
    out.add_argument(
        "--format",
        nargs="+",
        choices=FORMATS,
        default=[],
        metavar="FORMAT",
        help=f"also write results for other programs, each into a folder of its name: "
        f"{', '.join(FORMATS)}",
    )
    out.add_argument(
        "--explain",
        action="store_true",
        help="also draw why: for each picture a sheet of each word's global similarity (GCS), "
        "local similarity (LCS) and probability, *_explain.png",
    )
    out.add_argument(
        "--explain-words",
        type=positive,
        metavar="N",
        help=f"words on a sheet, those with most pixels (default {_EXPLAIN_WORDS})",
    )
    out.add_argument(
        "--explain-point",
        type=_pixel,
        metavar="X,Y",
        help="the pixel whose routes are drawn, for a method that has routes, such as LDVC: the "
        "parts of the picture that its layers look at from there (default: the picture's middle)",
    )
    out.add_argument(
        "--batch-size", type=positive, default=1, metavar="N", help="pictures at once (default 1)"
    )
    out.add_argument(
        "--max-frames", type=positive, metavar="N", help="stop a video or camera after N frames"
    )


def _bands(text: str) -> tuple[int, ...]:
    numbers = text.split(",")
    if len(numbers) not in (1, 3):
        raise argparse.ArgumentTypeError(f"expected one band, or three such as 4,3,2, got {text!r}")
    return tuple(map(positive, numbers))


def _pixel(text: str) -> tuple[int, int]:
    column, _, row = text.partition(",")
    if not (column.isdecimal() and row.isdecimal()) or max(len(column), len(row)) > 9:
        raise argparse.ArgumentTypeError(
            f"expected a column and a row from 0, such as 320,200, got {text!r}"
        )
    return int(column), int(row)


def _check(args: argparse.Namespace) -> None:
    """Look for the pictures and videos, which takes no model."""
    args.input = [*args.pictures, *args.input]
    if not args.input and args.webcam is None:
        raise ValueError("expected pictures, videos or folders to look at, got none; name some")
    if args.input and args.webcam is not None:
        raise ValueError("expected pictures and videos or --webcam, got both; leave out one")
    for option in ("explain_words", "explain_point"):
        if getattr(args, option) is not None and not args.explain:
            flag = f"--{option.replace('_', '-')}"
            raise ValueError(f"expected --explain with {flag}; give both or neither")
    args.addresses = [word for word in dict.fromkeys(args.input) if is_address(word)]
    args.files = find_files([word for word in args.input if not is_address(word)])
    videos = [str(file) for file in args.files if is_video(file)]
    for option in ("explain", "format", "bands"):
        if getattr(args, option) and (videos or args.webcam is not None):
            what = f"the video {videos[0]!r}" if videos else "--webcam"
            raise ValueError(
                f"expected only pictures with --{option}, got {what}; leave out one of the two"
            )


def _check_output(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(2**16))
            file.flush()
    except OSError as error:
        obstacle = error.errno in (errno.EEXIST, errno.ENOTDIR)
        reason = "a file is in its place" if obstacle else error.strerror
        raise OSError(
            f"expected a folder that can be written for --output, got {str(folder)!r} "
            f"({reason}); choose another"
        ) from error


def _prepare(
    args: argparse.Namespace, sources: list[Source]
) -> tuple[OpenVocabPredictor, Vocabulary]:
    """Check the words and look at pictures, then build the model, which takes longer."""
    from fgaseg_d2.config.effects import PREDICTION
    from fgaseg_d2.config.loading import load_config
    from fgaseg_d2.vocabulary import Vocabulary

    from .segmenting import building, first_looks

    options = {
        "synonyms": args.synonyms,
        "background": args.background,
        "background_threshold": args.background_threshold,
    }
    given = None if args.vocab is None else Vocabulary.coerce(args.vocab, **options)
    cfg = load_config(args.config_file, args.opts, args.weights, args.device, PREDICTION)
    first_looks.look_at_pictures(sources, cfg.MODEL.WEIGHTS or cfg.MODEL.CLIP.PRETRAINED)
    predictor = building.make_predictor(cfg, args.config_file)
    if args.explain_point and not predictor.model.has_routes:
        raise ValueError(
            "expected a model with routes for --explain-point, such as LDVC with "
            f"MODEL.LDVC.CONSENSUS route, got {type(predictor.model).__name__} without; leave "
            "the point out or take another --model"
        )
    if given is not None:
        return predictor, given
    if predictor.default_vocabulary is None:
        raise ValueError(
            f"expected --vocab, because {args.config_file} has no words of its own; give some, "
            'such as --vocab "cat,dog"'
        )
    return predictor, Vocabulary.coerce(predictor.default_vocabulary, **options)


def _run(args: argparse.Namespace) -> int:
    # A missing camera is told, and of damaged videos more than OpenCV says.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    _check_output(args.output)
    with messages.library_warnings(), contextlib.ExitStack() as fetched:
        return _segment(args, _sources(args, fetched))


def _sources(args: argparse.Namespace, fetched: contextlib.ExitStack) -> list[Source]:
    """What to look at; files from the web are there until the stack is closed."""
    from fgaseg_d2.checkpoint.downloads import fetched_file
    from fgaseg_d2.engine.errors import of_the_command_line

    if args.webcam is not None:
        return [Source(args.webcam, f"webcam{args.webcam}")]
    with of_the_command_line():
        addresses = {
            fetched.enter_context(fetched_file(address, "a picture or video")): address
            for address in args.addresses
        }
    sources = name_sources([*args.files, *addresses], args.output, addresses)
    return [dataclasses.replace(source, bands=args.bands) for source in sources]


def _segment(args: argparse.Namespace, sources: list[Source]) -> int:
    """Do what the command line asks for; returns how many sources failed."""
    from fgaseg_d2.engine.errors import of_the_command_line
    from fgaseg_d2.exports import Export

    from .segmenting.runner import Runner, Sheets

    with of_the_command_line():
        predictor, vocabulary = _prepare(args, sources)
        export = Export(args.output, args.format, vocabulary.class_names)
    messages.say(f"weights: {predictor.weights_summary}")
    predictor.cautions.look_at_words(vocabulary, predictor.softmax_scores)
    origin = "" if args.vocab else f", the own words of {args.config_file}"
    names = ", ".join(vocabulary.class_names[:12]) + (", ..." if len(vocabulary) > 12 else "")
    messages.say(f"looking for {len(vocabulary)} classes{origin}: {names}")
    sheets = Sheets(args.explain_words or _EXPLAIN_WORDS, args.explain_point)
    run = Runner(
        predictor,
        vocabulary,
        args.output,
        batch_size=args.batch_size,
        max_frames=args.max_frames,
        sheets=sheets if args.explain else None,
        export=export,
    )
    try:
        with export:
            run.pictures([source for source in sources if not source.is_video])
        for source in sources:
            if source.is_video:
                run.video(source)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted after {run.done} of {len(sources)}") from None
    messages.say(f"{run.done} of {len(sources)} done, results in {args.output}")
    return run.failed


COMMAND = Command(
    "Segment pictures, videos or a camera's view by words, and write overlays, labels and JSON.",
    *(_add_arguments, _run, _EPILOG, _check),
)
