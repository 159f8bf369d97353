"""What is wrong with a data set, all at once, before anything is trained on it."""

from .boxes import check_boxes
from .coco import check_coco
from .findings import Finding, Findings
from .images import check_images
from .instances import Image, People
from .metainfo import check_metainfo
from .mpii import check_mpii
from .units import check_units

__all__ = [
    'Finding',
    'Findings',
    'Image',
    'People',
    'check_boxes',
    'check_coco',
    'check_images',
    'check_metainfo',
    'check_mpii',
    'check_units',
]
