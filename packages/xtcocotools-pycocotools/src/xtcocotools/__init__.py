"""The interface of xtcocotools 1.14.3 over pycocotools, which has wheels: nothing to compile.

``coco.COCO``, ``cocoeval.COCOeval`` and ``mask`` are used like xtcocotools' own and give equal
results; the README lists where they differ.
"""
