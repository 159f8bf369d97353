"""The operations of ``mmcv._ext`` without compiled code: see the package ``mmcv_torchvision``.

Python prefers a compiled ``_ext.*.so`` in the same folder to this file. ``mmcv.ops`` asks only
that the names exist; one that is not here raises when it is called.
"""

from mmcv_torchvision import get_operation as __getattr__  # noqa: F401  (PEP 562)
