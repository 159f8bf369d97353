from .metadata import PoseMetadata as PoseMetadata
from .onnx_file import OnnxExport as OnnxExport
from .onnx_file import export_onnx as export_onnx
from .openvino_file import onnx_to_openvino as onnx_to_openvino
from .runtime import OnnxPose as OnnxPose
