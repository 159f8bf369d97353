"""Check everything that a run depends on before it starts, and say how to mend it.

``hrnet-plugin check`` and ``PreflightHook`` are thin faces of this room. A check takes what it
looks at and returns `Findings`; one that reads a file returns its content, too, with
``findings``. ``pipelines`` and ``gathering``, which the hook asks, return sentences.

========================  =============================================================
`check_config`            a config with all its data, as ``hrnet-plugin check`` does
`check_coco`              annotations in COCO's format
`check_mpii`              annotations in MPII's format, and boxes of heads
`check_samples`           samples of a dataset in any other format
`check_boxes`             a detector's boxes (``bbox_file``), against the annotations
`check_units`             whether coordinates are in pixels
`check_images`            whether image files exist, are whole and have the annotated size
`check_metainfo`          number, sigmas, weights and pairs of keypoints
``pipelines``             whether the pipelines of a dataset and a model fit together
``weights``               whether the checkpoints that a config names exist
``gathering``             whether processes can gather the results of stock metrics
``old_config``            whether a config is one of MMPose 0.x
``other_task``            whether a config is one of segmentation, detection or classification
``contact_sheet``         samples of a pipeline on one page, to be looked at
========================  =============================================================

``dataloader`` and ``dataset_configs`` are parts of `check_config`.
"""

from ..utils.lazy_imports import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    __file__,
    former={
        'Image': f'{__name__}.instances.ImageRecord',
        'People': f'{__name__}.instances.AnnotatedInstances',
    },
)
