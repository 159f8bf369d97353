from .build import Results as Results
from .build import build_report as build_report
from .content import Report as Report
from .crops import ImageSource as ImageSource
from .skeleton import Skeleton as Skeleton
