from .atomic_checkpoint import AtomicCheckpointHook as AtomicCheckpointHook
from .channels_last import ChannelsLastHook as ChannelsLastHook
from .curves import CurvesHook as CurvesHook
from .exact_resume import ExactResumeHook as ExactResumeHook
from .preflight import PreflightHook as PreflightHook
from .progress import ProgressHook as ProgressHook
