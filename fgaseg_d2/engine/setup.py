"""From a command line to a frozen configuration, with what is wrong in it reported at once."""

import argparse
import logging
import os

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.engine import default_setup
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger
from torch import nn

from ..config.checks import check_names
from ..config.effects import EVALUATION, unread_keys, warn
from ..config.loading import LoadedConfig, find_config, read_config
from ..config.rows import table_of
from ..data.datasets.configured import register_configured
from ..data.loaders import check_train_datasets
from ..io.file_errors import writing
from ..io.files import prepare_folder
from ..io.regular_files import is_file
from ..wording import shown
from .errors import shorten_logged_errors
from .imports import import_user_module
from .streams import show_any_name
from .testing import check_test_sets

_ELSEWHERE = "another OUTPUT_DIR"
logger = logging.getLogger(__name__)


def setup(args: argparse.Namespace) -> CfgNode:
    """Import modules, load the configuration, register its datasets, start logs in OUTPUT_DIR.

    Args:
        args: ``imports``, ``config_file`` (what :func:`~fgaseg_d2.config.finding.find_model` takes;
            afterwards the file), ``opts``, ``eval_only`` and ``resume`` of train_net.py.

    Returns:
        The frozen configuration.

    Raises:
        FileNotFoundError: no such configuration or module file.
        ImportError: a user's module cannot be imported.
        ValueError: a key, a value or a dataset that cannot be used.
        WriteError: OUTPUT_DIR cannot be written.
    """
    shorten_logged_errors()
    for module in args.imports:
        import_user_module(module)
    given, args.config_file = args.config_file, str(find_config(args.config_file))
    last = _last_checkpoint(given, args.opts) if args.resume else None
    loaded = read_config(given, args.opts, weights=last)
    cfg = loaded.cfg
    check_names(cfg)
    register_configured(cfg)
    check_datasets(cfg, args.eval_only)
    if comm.is_main_process():
        prepare_folder(cfg.OUTPUT_DIR, _ELSEWHERE)
    with writing(cfg.OUTPUT_DIR, _ELSEWHERE):
        # It shows the file, and a row of a table has none of its own.
        table = None if is_file(args.config_file) else table_of(args.config_file)
        file = str(table or args.config_file)
        default_setup(cfg, argparse.Namespace(**{**vars(args), "config_file": file}))
        setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="fgaseg_d2")
    if table:
        logger.info("Of %s, this run is of %s", file, args.config_file)
    show_any_name("detectron2", "fgaseg_d2", "fvcore")
    _warn_of_keys_without_effect(loaded, args, last)
    return cfg


def _warn_of_keys_without_effect(
    loaded: LoadedConfig, args: argparse.Namespace, last: str | None
) -> None:
    """Warn, now that there is a log; of keys that nothing reads, trainer and evaluation warn."""
    cfg, unread = loaded.cfg, set(unread_keys(loaded.cfg))
    found = loaded.without_effect(EVALUATION if args.eval_only else None)
    warn([(key, reason) for key, reason in found.items() if key not in unread], cfg, logger)
    asked = dict(zip(args.opts[::2], args.opts[1::2], strict=True)).get("MODEL.WEIGHTS")
    if last and asked and os.path.expanduser(asked) != last:
        logger.warning(
            "MODEL.WEIGHTS %s has no effect on a run that is resumed: it goes on from %s",
            *(shown(asked), shown(last)),
        )


def _last_checkpoint(config_file: str, opts: list[str]) -> str | None:
    """The checkpoint to resume from, None if OUTPUT_DIR holds none.

    It takes the place of MODEL.WEIGHTS, which may be gone by now, and spares fetching weights only
    to replace them.
    """
    output = read_config(config_file, opts, weights="").cfg.OUTPUT_DIR
    checkpointer = DetectionCheckpointer(nn.Identity(), output)
    return checkpointer.get_checkpoint_file() if checkpointer.has_checkpoint() else None


def check_datasets(cfg: CfgNode, eval_only: bool) -> None:
    """Check that the datasets that are needed are registered, with fitting words.

    Args:
        cfg: DATASETS is used.
        eval_only: whether DATASETS.TEST must name one; otherwise DATASETS.TRAIN must.

    Raises:
        ValueError: they are not.
        FileNotFoundError: as the loading functions of DATASETS.TEST say.
    """
    if not eval_only:
        check_train_datasets(cfg)
    elif not cfg.DATASETS.TEST:
        raise ValueError(
            "DATASETS.TEST is empty; name the registered datasets to evaluate on, such as "
            "DATASETS.TEST \"('storybook_val',)\""
        )
    check_test_sets(cfg)
    tasks = {"sem_seg", *cfg.DATASETS.TEST} if cfg.DATASETS.TEST else set()
    for task, *_ in cfg.TEST.EXPECTED_RESULTS:
        if task not in tasks:
            raise ValueError(
                f"expected TEST.EXPECTED_RESULTS of the task 'sem_seg' on a set of DATASETS.TEST, "
                f"got {shown(task)}; correct it, or leave it empty"
            )
