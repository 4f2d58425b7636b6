"""Segments pictures by words on a page in the browser."""

from __future__ import annotations

import argparse
import threading
from typing import Any

from .command_line import Command, Parser, add_model, add_weights, between, say

_EPILOG = """\
examples:
  %(prog)s
  %(prog)s --model catseg_vitb16 --device cuda --port 8080

Needs the extra [page]. Ctrl-C ends it, with exit code 130.
"""


def _add_arguments(parser: Parser) -> None:
    model = parser.add_argument_group("model")
    add_model(model, "tiny")
    add_weights(model)
    server = parser.add_argument_group("server")
    server.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen; 0.0.0.0 lets other machines in, without a password (default: "
        "%(default)s)",
    )
    server.add_argument(
        "--port", type=between(1, 65535), default=7860, metavar="N", help="(default: %(default)s)"
    )
    server.add_argument(
        "--share",
        action="store_true",
        help="also give the page a public address, by way of Gradio's servers",
    )


def _run(args: argparse.Namespace) -> None:
    from fgaseg_d2.engine.errors import of_the_command_line
    from fgaseg_d2.io.extras import import_extra

    from .segmenting.messages import library_warnings
    from .segmenting.page import Page, build_app

    import_extra("gradio", "page")  # before the model, which takes longer
    with library_warnings():
        page = Page(args.config_file, args.weights, args.device)
        with of_the_command_line():
            say(f"weights: {page.predictor(args.config_file).weights_summary}")
        app = build_app(page)
        try:
            _, local, shared = _launch(app, args)
            say(f"the page is at {shared or local}; Ctrl-C ends it")
            threading.Event().wait()
        finally:
            app.close(verbose=False)
            page.close()


def _launch(app: Any, args: argparse.Namespace) -> tuple[Any, str, str | None]:
    """Start the server in a thread; returns what ``gradio.Blocks.launch`` does."""
    from gradio import themes

    try:
        return app.launch(
            server_name=args.host,
            server_port=args.port,
            share=args.share,
            prevent_thread_lock=True,
            quiet=True,
            # What Gradio itself meets before our function, such as a file that is no picture.
            show_error=True,
            ssr_mode=False,
            # Gradio's own fonts are fetched from Google.
            theme=themes.Default(font=["sans-serif"], font_mono=["monospace"]),
        )
    except OSError as error:
        # Gradio names options of its own.
        raise OSError(
            "expected an address of this machine with a free port, got "
            f"{args.host}:{args.port}; choose another --port or --host"
        ) from error


COMMAND = Command(
    "Segment pictures by words on a page in the browser: overlay, shares, and files to download.",
    *(_add_arguments, _run, _EPILOG),
)
