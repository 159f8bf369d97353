"""The page of an evaluation: numbers with intervals, errors and their cost, calibration, images.

``build_report`` makes a `Report` from annotations and one or two sets of predictions, which writes
itself as JSON and as one HTML file. It needs NumPy, matplotlib, Jinja2 and, for images, OpenCV.

============  ==================================================================
``build``     from annotations and predictions to a report
``content``   the report, and its files
``skeleton``  names, links and mirrored pairs of keypoints, and where to draw them
``gallery``   the instances that cost most
``crops``     parts of images as small JPEG files
``charts``    charts, drawn by matplotlib as ``svg`` of the page's colours
``page``      the words and tables of the page, around ``page.html.j2``
============  ==================================================================
"""

from ..utils.lazy_imports import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
