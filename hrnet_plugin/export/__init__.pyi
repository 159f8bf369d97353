from .metadata import PoseMetadata as PoseMetadata
from .onnx_file import OnnxExport as OnnxExport
from .onnx_file import export_onnx as export_onnx
from .runtime import OnnxPose as OnnxPose
