#!/usr/bin/env python3
"""Segments pictures, videos or a camera's view by words, and writes overlays, labels and JSON."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import media
import messages

sys.path.append(str(Path(__file__).resolve().parent.parent / "tools"))
from command_line import Parser, let_threads_sleep, path  # noqa: E402 (beside the programs of tools/)

if TYPE_CHECKING:
    from fgaseg_d2.predict.predictor import OpenVocabPredictor
    from fgaseg_d2.vocabulary import Vocabulary

_EPILOG = """\
examples:
  %(prog)s --input scene.png --vocab "red house,tree|pine,sky"
  %(prog)s --input "photos/*.jpg" clip.mp4 --vocab words.txt --background "wall,floor"
  %(prog)s --input scene.png --vocab "sun,moon" --explain
  %(prog)s --input photos/ --vocab ade20k_150 --config-file vitb16_384 --weights model.pth

Exit code: 0; 1 if something failed; 2 for a wrong command line; 130 after Ctrl-C.
FGASEG_TRACEBACK=1 in the environment shows where an error arose.
"""


_EXPLAIN_WORDS = 12


class _StopError(Exception):
    """Ends the program with a message and an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def argument_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = Parser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_argument_group("what to look at").add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--input", nargs="+", metavar="PATH", help="pictures, videos, folders, quoted globs"
    )
    what.add_argument(
        "--webcam", nargs="?", type=int, const=0, metavar="INDEX", help="a camera, until Ctrl-C"
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
    model.add_argument(
        "--config-file", default="tiny", metavar="NAME", help="YAML or bundled name (default tiny)"
    )
    model.add_argument(
        "--weights", metavar="FILE", help="checkpoint (default: the configuration's)"
    )
    model.add_argument("--device", help="such as cuda or cpu (default: the GPU if there is one)")
    model.add_argument("--opts", nargs="*", default=[], metavar="KEY VALUE", help="changes of keys")
    out = parser.add_argument_group("results")
    out.add_argument(
        "--output", type=path, default=Path("output/demo"), metavar="DIR", help="(%(default)s)"
    )
    out.add_argument(
        "--explain",
        action="store_true",
        help="also draw why: for each picture a sheet of each word's global similarity (GCS), "
        "local similarity (LCS) and probability, *_explain.png",
    )
    out.add_argument(
        "--explain-words",
        type=_positive,
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
        "--batch-size", type=_positive, default=1, metavar="N", help="pictures at once (default 1)"
    )
    out.add_argument(
        "--max-frames", type=_positive, metavar="N", help="stop a video or camera after N frames"
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def _pixel(text: str) -> tuple[int, int]:
    column, _, row = text.partition(",")
    if not (column.isdecimal() and row.isdecimal()) or max(len(column), len(row)) > 9:
        raise argparse.ArgumentTypeError(
            f"expected a column and a row from 0, such as 320,200, got {text!r}"
        )
    return int(column), int(row)


def _check_explain(args: argparse.Namespace, sources: list[media.Source]) -> None:
    """Sheets are drawn of pictures."""
    for option in ("explain_words", "explain_point"):
        if getattr(args, option) is not None and not args.explain:
            flag = f"--{option.replace('_', '-')}"
            raise _StopError(f"expected --explain with {flag}; give both or neither", 2)
    videos = [source for source in sources if source.is_video]
    if args.explain and videos:
        what = "--webcam" if videos[0].is_camera else f"the video {str(videos[0].path)!r}"
        raise _StopError(
            f"expected only pictures with --explain, got {what}; leave out one of the two", 2
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
        raise _StopError(
            f"expected a folder that can be written for --output, got {str(folder)!r} "
            f"({reason}); choose another",
            1,
        ) from error


def _prepare(
    args: argparse.Namespace, sources: list[media.Source]
) -> tuple[OpenVocabPredictor, Vocabulary]:
    """Check the words and look at pictures, then build the model, which takes longer."""
    import building
    import first_looks

    from fgaseg_d2.config.effects import PREDICTION
    from fgaseg_d2.config.loading import load_config
    from fgaseg_d2.vocabulary import Vocabulary

    options = {
        "synonyms": args.synonyms,
        "background": args.background,
        "background_threshold": args.background_threshold,
    }
    given = None if args.vocab is None else Vocabulary.coerce(args.vocab, **options)
    cfg = load_config(args.config_file, args.opts, args.weights, args.device, PREDICTION)
    first_looks.look_at_pictures(sources, cfg.MODEL.WEIGHTS)
    predictor = building.make_predictor(cfg)
    if args.explain_point and not predictor.model.has_routes:
        raise ValueError(
            "expected a model with routes for --explain-point, such as LDVC with "
            f"MODEL.LDVC.CONSENSUS route, got {type(predictor.model).__name__} without; leave "
            "the point out or take another --config-file"
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
    """Do what the command line asks for; returns the exit code."""
    try:
        sources = [media.Source(args.webcam, f"webcam{args.webcam}")]
        if args.input:
            sources = media.find_sources(args.input, args.output)
        _check_explain(args, sources)
        _check_output(args.output)
        import runner
    except FileNotFoundError as error:
        raise _StopError(str(error), 2) from error
    except ImportError as error:
        raise _StopError(str(error), 1) from error
    except OSError as error:
        raise _StopError(
            f"cannot read {error.filename}: {error.strerror}; check the path and the permissions", 2
        ) from error
    try:
        predictor, vocabulary = _prepare(args, sources)
    except (ValueError, OSError) as error:
        raise _StopError(runner.one_line(error), 2) from error
    messages.say(f"weights: {predictor.weights_summary}")
    predictor.cautions.look_at_words(vocabulary, predictor.softmax_scores)
    origin = "" if args.vocab else f", the own words of {args.config_file}"
    names = ", ".join(vocabulary.class_names[:12]) + (", ..." if len(vocabulary) > 12 else "")
    messages.say(f"looking for {len(vocabulary)} classes{origin}: {names}")
    sheets = runner.Sheets(args.explain_words or _EXPLAIN_WORDS, args.explain_point)
    run = runner.Runner(
        predictor,
        vocabulary,
        args.output,
        batch_size=args.batch_size,
        max_frames=args.max_frames,
        sheets=sheets if args.explain else None,
    )
    try:
        run.pictures([source for source in sources if not source.is_video])
        for source in sources:
            if source.is_video:
                run.video(source)
    except runner.ResultsError as error:
        raise _StopError(str(error), 1) from error
    except KeyboardInterrupt:
        raise _StopError(f"interrupted after {run.done} of {len(sources)}", 130) from None
    messages.say(f"{run.done} of {len(sources)} done, results in {args.output}")
    return 1 if run.failed else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments; None for those of the process.

    Returns:
        Exit code.
    """
    args = argument_parser().parse_args(argv)
    let_threads_sleep()
    # Deprecations inside the libraries, and a missing camera, are told or of no use to the user.
    warnings.filterwarnings("ignore", category=FutureWarning)
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal cannot show must not stop the run.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with messages.library_warnings():
            return _run(args)
    except _StopError as stop:
        if os.environ.get("FGASEG_TRACEBACK", "0") != "0":
            traceback.print_exc()
        sys.stderr.write(f"error: {stop}\n")
        return stop.code
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        return 130
    except (BrokenPipeError, messages.OutputError) as error:
        # Whoever read our output has gone, or the disk is full; Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"error: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
