"""Read the ``extra`` of stock configs into the ``spec`` that backbones are built from."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Protocol, TypeVar

from ..utils.errors import unknown_name
from .archs import (
    EXPANSION,
    BlockStage,
    HRFormerSpec,
    HRNetSpec,
    LiteHRNetSpec,
    LiteStage,
    LiteStem,
    Size,
    Stage,
    TransformerStage,
)

Extra = Mapping[str, Any]
T = TypeVar('T', covariant=True)
U = TypeVar('U')
S = TypeVar('S', bound=HRNetSpec)

STAGES = ('stage2', 'stage3', 'stage4')  # behind stage 1, of parallel streams
BLOCK_KEYS = ('num_modules', 'num_branches', 'block', 'num_blocks', 'num_channels')
TRANSFORMER_KEYS = ('num_heads', 'window_sizes', 'mlp_ratios')
TRANSFORMER_OPTIONS = ('drop_path_rate', 'with_rpe', 'with_pad_mask')
LITE_KEYS = (
    'num_modules',
    'num_branches',
    'num_blocks',
    'module_type',
    'with_fuse',
    'reduce_ratios',
    'num_channels',
)
LITE_KINDS = ('LITE', 'NAIVE')
UPSAMPLE_MODES = ('nearest', 'bilinear', 'bicubic')


class Arch(Protocol[T]):
    """A row of a published architecture."""

    @property
    def spec(self) -> T: ...


def read_arch(
    backbone: str,
    archs: Mapping[str, Arch[U]],
    arch: str | None,
    from_extra: Callable[[Extra], U],
    extra: Extra | None,
) -> U:
    """Return what a backbone is built from: that of a published architecture or of ``extra``.

    Args:
        backbone: Name of the backbone, for errors.
        archs: Rows of its published architectures.
        arch: Name of one of them, or None.
        from_extra: Function that reads ``extra``.
        extra: The architecture as stock configs write it, or None.

    Raises:
        ValueError: The architecture is unknown, ``extra`` is invalid, or both or neither of the
            two are given.
    """
    if arch is None and extra is not None:
        return from_extra(extra)
    if arch is None or extra is not None:
        raise ValueError(f'{backbone} takes either arch=NAME or extra=dict(…)')
    if arch not in archs:
        raise ValueError(unknown_name(f'arch of {backbone}', arch, archs))
    return archs[arch].spec


def with_options(spec: S, **options: Any) -> S:
    """Return a spec with the options that are not None in the place of its own.

    Raises:
        ValueError: ``upsample`` is no ``dict(mode=…, align_corners=…)``, or the spec refuses an
            option.
    """
    options = {name: value for name, value in options.items() if value is not None}
    if 'upsample' in options:
        check_upsample('upsample', options['upsample'])
    return replace(spec, **options)


def hrnet_from_extra(extra: Extra) -> HRNetSpec:
    """Read HRNet's ``dict(stage1=…, …, stage4=…, upsample=…)``.

    Raises:
        ValueError: A key or a block is unknown or missing, or numbers do not fit.
    """
    options = _read_options(extra)
    stage1 = _read_stage1(extra)
    stages = tuple(_read_block_stage(f'extra.{name}', extra[name]) for name in STAGES)
    check_new_streams([f'extra.{name}' for name in STAGES], [stage1, *stages])
    return HRNetSpec(stage1, stages, **options)


def hrformer_from_extra(extra: Extra) -> HRFormerSpec:
    """Read HRFormer's ``dict(stage1=…, …, stage4=…, drop_path_rate=…, …)``.

    Raises:
        ValueError: A key or a block is unknown or missing, or numbers do not fit.
    """
    options = _read_options(extra, TRANSFORMER_OPTIONS)
    # Stock configs have these keys in stage 1, to no effect.
    stage1 = _read_stage1(extra, unread=('num_heads', 'mlp_ratios', 'num_mlp_ratios'))
    stages = tuple(_read_transformer_stage(f'extra.{name}', extra[name]) for name in STAGES)
    check_new_streams([f'extra.{name}' for name in STAGES], [stage1, *stages])
    return HRFormerSpec(stage1, stages, **options)


def litehrnet_from_extra(extra: Extra) -> LiteHRNetSpec:
    """Read Lite-HRNet's ``dict(stem=…, num_stages=…, stages_spec=…, with_head=…)``.

    Raises:
        ValueError: A key or a kind of module is unknown or missing, or numbers do not fit.
    """
    check_keys('extra', extra, required=('stem', 'num_stages', 'stages_spec', 'with_head'))
    stem, columns = extra['stem'], extra['stages_spec']
    check_keys('extra.stem', stem, required=('stem_channels', 'out_channels', 'expand_ratio'))
    check_keys('extra.stages_spec', columns, required=LITE_KEYS)
    counted = dict(columns, num_stages=extra['num_stages'])
    check_lengths('extra.stages_spec', counted, LITE_KEYS, of='num_stages')
    rows = [dict(zip(LITE_KEYS, row)) for row in zip(*(columns[key] for key in LITE_KEYS))]
    names = [f'stage {i} of extra.stages_spec' for i in range(len(rows))]
    stages = tuple(_read_lite_stage(name, row) for name, row in zip(names, rows))
    check_new_streams(names, [Stage(1, (stem['out_channels'],)), *stages])
    return LiteHRNetSpec(LiteStem(**stem), stages, with_head=extra['with_head'])


def check_upsample(where: str, upsample: Extra) -> None:
    """Raise a ValueError unless ``upsample`` is a ``dict(mode=…, align_corners=…)``."""
    if not isinstance(upsample, Mapping):
        raise ValueError(f'{where}={upsample!r}; expected dict(mode=…, align_corners=…)')
    check_keys(where, upsample, required=('mode',), optional=('align_corners',))
    if upsample['mode'] not in UPSAMPLE_MODES:
        raise ValueError(unknown_name(f'{where} mode', upsample['mode'], UPSAMPLE_MODES))


def upsample_text(upsample: Extra) -> str:
    """Return an ``upsample`` as configs write it.

    >>> upsample_text({'mode': 'nearest'})
    "upsample=dict(mode='nearest')"
    """
    options = ', '.join(f'{name}={value!r}' for name, value in upsample.items())
    return f'upsample=dict({options})'


def read_window(where: str, window: int | Sequence[int]) -> Size:
    """Read a window given by its side or by height and width, in tokens."""
    sides = tuple(window) if isinstance(window, Sequence) else (window, window)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(
            f'{where}={window}; expected a whole number above 0, or two: height, width'
        )
    return sides


def check_keys(
    where: str, cfg: Extra, required: Sequence[str] = (), optional: Sequence[str] = ()
) -> None:
    """Raise a ValueError if ``cfg`` lacks a required key or has one that is neither."""
    for key in cfg:
        if key not in required and key not in optional:
            raise ValueError(unknown_name(f'option in {where}', key, [*required, *optional]))
    for key in required:
        if key not in cfg:
            raise ValueError(f'{where} lacks {key!r}; expected {", ".join(required)}')


def check_lengths(where: str, cfg: Extra, keys: Sequence[str], of: str) -> None:
    """Raise a ValueError unless each of ``keys`` has ``cfg[of]`` entries."""
    for key in keys:
        if len(cfg[key]) != cfg[of]:
            raise ValueError(
                f'{where}: {key}={tuple(cfg[key])} has {len(cfg[key])} entries; '
                f'expected one for each of {of}={cfg[of]}'
            )


def check_new_streams(names: Iterable[str], stages: Iterable[Stage]) -> None:
    """Raise a ValueError unless each stage has more streams than the one before.

    Args:
        names: Name of each stage but the first, for errors.
        stages: What the streams begin with, then the stages.
    """
    for name, (before, after) in zip(names, pairwise(stages)):
        if len(after.channels) <= len(before.channels):
            raise ValueError(
                f'{name} has num_branches={len(after.channels)}; expected more than the '
                f'{len(before.channels)} of the stage before it'
            )


def _read_options(extra: Extra, options: Sequence[str] = ()) -> dict[str, Any]:
    """Check the keys of an ``extra`` and return those that are not about one stage's layers."""
    options = ('upsample', *options)
    check_keys('extra', extra, required=('stage1', *STAGES), optional=options)
    if 'upsample' in extra:
        check_upsample('extra.upsample', extra['upsample'])
    return dict(
        multiscale_output=extra['stage4'].get('multiscale_output', False),
        **{key: extra[key] for key in options if key in extra},
    )


def _read_stage1(extra: Extra, unread: Sequence[str] = ()) -> BlockStage:
    """Read the stage of residual blocks that follows the stem."""
    stage1 = _read_block_stage('extra.stage1', extra['stage1'], unread=unread)
    if extra['stage1']['num_modules'] != 1 or extra['stage1']['num_branches'] != 1:
        raise ValueError('extra.stage1 has one module of one branch: both numbers have to be 1')
    return stage1


def _read_block_stage(
    where: str,
    cfg: Extra,
    blocks: Sequence[str] = ('BASIC', 'BOTTLENECK'),
    stream_keys: Sequence[str] = (),
    unread: Sequence[str] = (),
) -> BlockStage:
    """Read one stage.

    Args:
        where: Name of the stage, for errors.
        cfg: The stage as stock configs write it.
        blocks: Names of the blocks that it can have.
        stream_keys: Further keys with one entry for each stream.
        unread: Keys that it may have to no effect.
    """
    optional = ('multiscale_output',) if where == 'extra.stage4' else unread
    check_keys(where, cfg, required=[*BLOCK_KEYS, *stream_keys], optional=optional)
    if cfg['block'] not in blocks:
        raise ValueError(unknown_name(f'{where}.block', cfg['block'], blocks))
    check_lengths(where, cfg, ['num_blocks', 'num_channels', *stream_keys], of='num_branches')
    return BlockStage(
        modules=cfg['num_modules'],
        channels=tuple(c * EXPANSION[cfg['block']] for c in cfg['num_channels']),
        blocks=tuple(cfg['num_blocks']),
        block=cfg['block'],
    )


def _read_transformer_stage(where: str, cfg: Extra) -> TransformerStage:
    stage = _read_block_stage(where, cfg, ('HRFORMERBLOCK',), TRANSFORMER_KEYS)
    for i, channels in enumerate(stage.channels):
        heads, ratio = cfg['num_heads'][i], cfg['mlp_ratios'][i]
        if heads < 1 or channels % heads:
            raise ValueError(
                f'{where}: num_heads[{i}]={heads} does not divide num_channels[{i}]={channels}'
            )
        if channels * ratio < 1:
            raise ValueError(
                f'{where}: mlp_ratios[{i}]={ratio} of num_channels[{i}]={channels} '
                'leaves no channels; 4 is usual'
            )
    windows = enumerate(cfg['window_sizes'])
    return TransformerStage(
        **vars(stage),
        heads=tuple(cfg['num_heads']),
        windows=tuple(read_window(f'{where}: window_sizes[{i}]', w) for i, w in windows),
        mlp_ratios=tuple(cfg['mlp_ratios']),
    )


def _read_lite_stage(where: str, cfg: Extra) -> LiteStage:
    """Read one stage: a row of ``stages_spec``."""
    check_lengths(where, cfg, ['num_channels'], of='num_branches')
    channels, kind = tuple(cfg['num_channels']), cfg['module_type'].upper()
    if kind not in LITE_KINDS:
        raise ValueError(unknown_name(f'module_type in {where}', cfg['module_type'], LITE_KINDS))
    if any(c % 2 for c in channels):
        raise ValueError(f'{where}: num_channels={channels}; expected even numbers, to halve them')
    return LiteStage(
        modules=cfg['num_modules'],
        channels=channels,
        blocks=cfg['num_blocks'],
        kind=kind,
        ratio=cfg['reduce_ratios'],
        fuse=cfg['with_fuse'],
    )
