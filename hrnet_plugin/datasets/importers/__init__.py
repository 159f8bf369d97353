"""Import annotations of other tools: one small file for each format, a row each in ``formats``.

``reading`` makes one kind of dataset of any of them, ``splits`` divides it, ``writer`` writes it
in COCO's format.
"""
