"""A runner that leaves the terminal to the progress; the file of its log has everything."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import Runner

DEPRECATIONS = 'deprecated in future'  # in messages of MMEngine about itself


class QuietRunner(Runner):
    """MMEngine's runner, which only prints warnings."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger, and let its terminal have warnings only."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.WARNING)
                handler.addFilter(lambda record: DEPRECATIONS not in record.getMessage())
        return logger

    @staticmethod
    def build_dataloader(*args: Any, **kwargs: Any) -> Any:
        """Build a data loader without what COCO's library prints."""
        with redirect_stdout(io.StringIO()):
            return Runner.build_dataloader(*args, **kwargs)


@contextmanager
def warnings_in_log(runner: Runner) -> Iterator[None]:
    """Write Python's warnings into the log of a run, not onto the terminal."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, category, *_: runner.logger.info(
            f'{category.__name__}: {message}'
        )
        yield
