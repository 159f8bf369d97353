"""The version of xtcocotools whose interface this is; the local part says who provides it."""

__version__ = '1.14.3+pycocotools'
short_version = '1.14.3'
