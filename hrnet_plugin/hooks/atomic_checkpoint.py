"""Checkpoints that survive a crash."""

from pathlib import Path
from typing import Any

from mmengine.dist import barrier, is_main_process, master_only
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop

from ..checkpoints.last_checkpoint import (
    POINTER,
    check_agreement,
    find_corruption,
    named_checkpoint,
    repair_last_checkpoint,
)
from ..checkpoints.safe_globals import allow_mmengine_checkpoints
from ..registry import HOOKS, strict_options
from ..utils.atomic_files import partial_files, write_atomically

STALE = 'outdone_best_ckpts'  # key in the message hub, and so in checkpoints


ATOMIC = 'hrnet_plugin.atomic'  # name of the backend, for MMEngine's ``backend_args``


@register_backend(ATOMIC, force=True)  # again, if this module is imported again
class AtomicBackend(LocalBackend):
    """MMEngine's local files, written atomically."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        write_atomically(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        write_atomically(filepath, obj.encode(encoding))


class _DeferredRemoval(LocalBackend):
    """Local files whose removal is only noted, in a list."""

    def __init__(self, stale: list[str]) -> None:
        self.stale = stale

    def remove(self, filepath: str | Path) -> None:
        self.stale.append(str(filepath))


@HOOKS.register_module()
@strict_options
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook, with its options, for runs that may be killed at any moment.

    - A checkpoint and ``last_checkpoint`` are written whole or not at all, and what a new one
      replaces is deleted after it is written.
    - A resumed run starts from the last checkpoint that is whole, deletes half-written files, and
      runs the validation that the interrupted run did not finish.

    Files that are not on a local disk are left to their backend.
    """

    file_backend: Any

    def before_run(self, runner: Any) -> None:
        """Check what the run is going to resume from.

        Raises:
            ValueError: If no checkpoint is whole, the named one is not, or processes of the run
                find different ones.
        """
        self._stale: list[str] = []  # former best checkpoints, to be deleted
        allow_mmengine_checkpoints()  # other code may have revoked what importing allowed
        if runner._resume and runner._train_loop is not None and is_main_process():
            folder = Path(runner.work_dir)
            if self.out_dir is not None:
                folder = Path(self.out_dir) / folder.name
            for path in partial_files(folder):
                runner.logger.warning(f'deleting {path}, which a killed run left half-written')
                path.unlink()
            if runner._load_from is None:
                repair_last_checkpoint(
                    Path(runner.work_dir), folder, self.filename_tmpl, runner.logger.warning
                )
            elif Path(runner._load_from).is_file():
                problem = find_corruption(Path(runner._load_from))
                if problem:
                    raise ValueError(
                        f'cannot resume from {runner._load_from}: {problem}. Resume without '
                        f'naming a file, to use the last whole one of {folder}'
                    )
        barrier()
        if runner._train_loop is not None:
            checkpoint = Path(runner._load_from) if runner._load_from is not None else None
            if checkpoint is None and runner._resume:
                checkpoint = named_checkpoint(Path(runner.work_dir))
            check_agreement(checkpoint)

    def before_train(self, runner: Any) -> None:
        """Write atomically from now on; finish what the interrupted run left undone."""
        super().before_train(runner)
        if type(self.file_backend) is LocalBackend and self.file_client_args is None:
            self.file_backend, self.backend_args = AtomicBackend(), dict(backend=ATOMIC)
        if runner.iter > 0:
            self.last_ckpt = runner.message_hub.runtime_info.get('last_ckpt')
            self._stale = list(runner.message_hub.runtime_info.get(STALE, []))
            self._delete_stale()
            if _lacks_validation(runner.train_loop, runner):
                runner.logger.info(f'Validating epoch {runner.epoch}, which was interrupted')
                runner.val_loop.run()

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict[str, Any]) -> None:
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        surplus = self._surplus(runner, step)
        runner.message_hub.update_info(STALE, list(self._stale))
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
        )
        if is_main_process():
            write_atomically(Path(runner.work_dir) / POINTER, str(self.last_ckpt).encode())
            if surplus is not None and self.file_backend.isfile(surplus):
                self.file_backend.remove(surplus)
        if surplus is not None:
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))

    def _surplus(self, runner: Any, step: int) -> str | None:
        """Return the checkpoint that is one too many with that of ``step``; None if none is.

        The new checkpoint lists it: if the run is killed before it is deleted, ``before_train`` of
        the next run deletes it.
        """
        if self.max_keep_ckpts <= 0:
            return None
        kept = list(self.keep_ckpt_ids)
        if step in kept:  # saved again, with the best score
            return None
        runner.message_hub.update_info('keep_ckpt_ids', [*kept, step])
        self.keep_ckpt_ids.append(step)
        if len(kept) < self.max_keep_ckpts:
            return None
        return self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(kept[0]))

    def _save_best_checkpoint(self, runner: Any, metrics: dict[str, Any]) -> None:
        if not isinstance(self.file_backend, AtomicBackend):
            super()._save_best_checkpoint(runner, metrics)
            return
        # MMEngine removes the previous best before it writes the new one.
        backend, self.file_backend = self.file_backend, _DeferredRemoval(self._stale)
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        self._delete_stale()

    @master_only
    def _delete_stale(self) -> None:
        """Delete former best checkpoints; the last checkpoint lists those of a killed run."""
        best = [getattr(self, 'best_ckpt_path', None)]
        best += getattr(self, 'best_ckpt_path_dict', {}).values()
        for path in self._stale:
            if path not in best and self.file_backend.isfile(path):
                self.file_backend.remove(path)
        self._stale = []


def _lacks_validation(loop: Any, runner: Any) -> bool:
    """Return whether a run that resumes after an epoch may have been killed in its validation.

    MMEngine would continue with the next epoch.
    """
    if not isinstance(loop, EpochBasedTrainLoop) or runner.val_loop is None:
        return False
    if loop.iter != loop.epoch * len(loop.dataloader) or loop.epoch < loop.val_begin:
        return False
    loop._decide_current_val_interval()
    return loop.epoch % loop.val_interval == 0 or loop.epoch == loop.max_epochs
