"""Files of reduced precision: what is converted in them, and that they are checked, too."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.export_models import METAINFO, SIZE, pose_model, rendered_crops, small_backbone
from torch import nn

from hrnet_plugin.export import export_onnx, onnx_file
from hrnet_plugin.export.precision import network_nodes, reduce_precision, to_float16
from hrnet_plugin.export.runtime import open_session

onnx = pytest.importorskip('onnx')
CROPS = rendered_crops(12)
Export = Callable[..., tuple[Any, onnx_file.OnnxExport]]


@pytest.fixture(scope='module')
def model() -> nn.Module:
    return pose_model(small_backbone('hrnet'))


@pytest.fixture(scope='module')
def traced(model: nn.Module) -> Any:
    """The model in float32, traced once for all tests."""
    options = dict(outputs='keypoints', normalize=True, flip_test=True)
    graph = onnx_file.InferenceGraph(model, SIZE, flip_indices=METAINFO['flip_indices'], **options)
    return onnx_file.trace(graph.eval(), SIZE)


@pytest.fixture
def export(
    tmp_path: Path, model: nn.Module, traced: Any, monkeypatch: pytest.MonkeyPatch
) -> Export:
    """Export the model; return the ONNX model that was written, and the report."""

    def trace(*_: Any) -> Any:
        copied = onnx.ModelProto()
        copied.CopyFrom(traced)
        return copied

    monkeypatch.setattr(onnx_file, 'trace', trace)

    def export(**options: Any) -> tuple[Any, onnx_file.OnnxExport]:
        path = tmp_path / 'pose.onnx'
        options = dict(dataset_meta=METAINFO, flip_test=True, crops=CROPS[:4]) | options
        result = export_onnx(model, path, SIZE, **options)
        return onnx.load(path), result

    return export


def types(proto: Any) -> dict[str, int]:
    """Type of each value of a graph."""
    graph = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph
    values = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.output)}
    return values | {w.name: w.data_type for w in graph.initializer}


def layers(proto: Any) -> list[Any]:
    return [node for node in proto.graph.node if node.op_type == 'Conv']


def test_network(traced: Any) -> None:
    """It begins with the first convolution, and ends with the last; averaging is outside."""
    inside = network_nodes(traced.graph)
    convolutions = layers(traced)
    assert inside[0] == convolutions[0]
    assert inside[-1] == convolutions[-1]
    assert [node for node in inside if node.op_type == 'Conv'] == convolutions
    outside = [node.op_type for node in traced.graph.node if node not in inside]
    for operator in ('Div', 'ArgMax', 'Mul', 'Gather'):
        assert operator in outside
    assert 'Relu' not in outside


def test_float16(export: Export) -> None:
    proto, result = export(precision='float16')
    onnx.checker.check_model(proto, full_check=True)
    of = types(proto)
    network = {name for node in layers(proto) for name in (*node.input, *node.output)}
    assert {of[name] for name in network} == {onnx.TensorProto.FLOAT16}
    # Only its border casts; everything else that is not float16 inside stays as it was.
    halves = [
        node
        for node in proto.graph.node
        if onnx.TensorProto.FLOAT16 in {of.get(name) for name in node.input}
    ]
    inside = {node.op_type for node in halves}
    assert inside <= {'Conv', 'Relu', 'Add', 'Resize', 'Shape', 'Cast', 'Concat'}
    assert of['mean_of_channels'] == of['keypoints'] == of['scores'] == onnx.TensorProto.FLOAT
    assert proto.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert json.loads(proto.metadata_props[0].value)['precision'] == 'float16'
    assert result.metadata.precision == 'float16'
    assert 1e-5 < result.heatmap_difference < 0.01
    assert 'HRNet and HeatmapHead, float16, ' in str(result)


def test_weights_that_others_read() -> None:
    """A constant of the network that is read outside as well keeps its digits there."""
    make = onnx.helper
    tensor = onnx.TensorProto.FLOAT
    constant = np.full((1, 1, 1, 1), 1 / 3, np.float32)
    weights = dict(shared=constant, kernel=np.ones((1, 1, 1, 1), np.float32))
    graph = make.make_graph(
        [
            make.make_node('Add', ['crops', 'shared'], ['sum'], name='before'),
            make.make_node('Conv', ['sum', 'kernel'], ['first'], name='first'),
            make.make_node('Mul', ['first', 'shared'], ['scaled'], name='between'),
            make.make_node('Conv', ['scaled', 'kernel'], ['last'], name='last'),
            make.make_node('Div', ['last', 'shared'], ['heatmaps'], name='after'),
            make.make_node('Conv', ['heatmaps', 'shared'], ['keypoints'], name='decoding'),
        ],
        'graph',
        [make.make_tensor_value_info('crops', tensor, ['n', 1, 2, 2])],
        [
            make.make_tensor_value_info(name, tensor, ['n', 1, 2, 2])
            for name in ('keypoints', 'heatmaps')
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    proto = make.make_model(graph, opset_imports=[make.make_opsetid('', 20)], ir_version=9)
    assert [node.name for node in network_nodes(graph)] == ['first', 'between', 'last']
    half = to_float16(proto)
    onnx.checker.check_model(half, full_check=True)
    of = types(half)
    assert of['shared'] == tensor
    crops = np.ones((2, 1, 2, 2), np.float32)
    keypoints, heatmaps = onnx_file.open_session_of(half).run(None, {'crops': crops})
    rounded = np.float32(np.float16(4 / 3) * np.float16(1 / 3))
    np.testing.assert_array_equal(heatmaps, np.full_like(crops, rounded) / constant)
    np.testing.assert_array_equal(keypoints, heatmaps * constant)


def test_int8(export: Export, traced: Any) -> None:
    proto, result = export(precision='int8', calibration=CROPS)
    onnx.checker.check_model(proto, full_check=True)
    weights = {weight.name: weight for weight in proto.graph.initializer}
    producers = {name: node for node in proto.graph.node for name in node.output}
    first, *others, last = layers(proto)
    for node in (first, last):
        assert weights[node.input[1]].data_type == onnx.TensorProto.FLOAT
    for node in others:
        dequantized, scale, _ = producers[node.input[1]].input
        assert weights[dequantized].data_type == onnx.TensorProto.INT8
        assert weights[scale].dims == weights[dequantized].dims[:1]  # of each channel
        assert producers[node.input[0]].op_type == 'DequantizeLinear'
    # What surrounds the network is as before.
    inside = {node.name for node in network_nodes(traced.graph)}
    outside = [node for node in traced.graph.node if node.name not in inside]
    written = {node.name: node for node in proto.graph.node}
    assert [written[node.name] for node in outside] == outside
    assert result.metadata.precision == 'int8'
    assert result.crops == 1 + 3 + 4
    assert 1e-3 < result.heatmap_difference < 0.2


def test_the_given_model_stays_as_it_is(traced: Any) -> None:
    copied = onnx.ModelProto()
    copied.CopyFrom(traced)
    for precision in ('float16', 'int8'):
        reduce_precision(copied, precision, [np.stack(CROPS[:2])])
        assert copied == traced


def test_results_are_those_of_float32(tmp_path: Path, export: Export) -> None:
    """A file of any precision takes any batch, and returns nearly the same scores."""
    found = {}
    for precision in ('float32', 'float16', 'int8'):
        calibration = CROPS if precision == 'int8' else ()
        export(precision=precision, calibration=calibration, overwrite=True)
        session = open_session(tmp_path / 'pose.onnx')
        _, found[precision] = session.run(None, {'crops': np.stack(CROPS[:5])})
        assert found[precision].dtype == np.float32
    span = np.ptp(found['float32'])
    assert np.abs(found['float16'] - found['float32']).max() < 0.01 * span
    assert np.abs(found['int8'] - found['float32']).max() < 0.3 * span


@pytest.mark.slow
@pytest.mark.parametrize('structure', ['lite', 'hrformer'])
@pytest.mark.parametrize('precision', ['float16', 'int8'])
def test_other_families(tmp_path: Path, structure: str, precision: str) -> None:
    result = export_onnx(
        pose_model(small_backbone(structure)),
        tmp_path / 'pose.onnx',
        SIZE,
        precision=precision,
        calibration=CROPS if precision == 'int8' else (),
    )
    assert 0 < result.heatmap_difference < dict(float16=0.01, int8=0.3)[precision]
    operators = [node.op_type for node in onnx.load(tmp_path / 'pose.onnx').graph.node]
    assert ('QuantizeLinear' in operators) == (precision == 'int8')


class TestErrors:
    def test_overflow(self, tmp_path: Path, model: nn.Module, export: Export, traced: Any) -> None:
        """Heatmaps beyond the range of float16 are an error, and no file is left."""
        name = 'model.head.final_layer.bias'
        (bias,) = (w for w in traced.graph.initializer if w.name == name)
        saved = bias.raw_data, model.head.final_layer.bias.data
        bias.raw_data = np.full(3, 1e6, np.float32).tobytes()
        model.head.final_layer.bias.data = torch.full((3,), 1e6)
        try:
            with pytest.raises(RuntimeError, match='float16 does not suit this model; no file'):
                export(precision='float16')
        finally:
            bias.raw_data, model.head.final_layer.bias.data = saved
        assert list(tmp_path.iterdir()) == []

    def test_nan(self, tmp_path: Path, export: Export, traced: Any) -> None:
        weight = next(w for w in traced.graph.initializer if w.name == layers(traced)[0].input[1])
        saved = weight.raw_data
        values = np.full(len(saved) // 4, np.nan, np.float32)
        weight.raw_data = values.tobytes()
        try:
            for precision in ('float32', 'float16'):
                with pytest.raises(RuntimeError, match='heatmaps by nan of their range'):
                    export(precision=precision)
        finally:
            weight.raw_data = saved
        assert list(tmp_path.iterdir()) == []

    def test_tolerances(self) -> None:
        onnx_file.check_differences(0.4, 0.0, 'int8')
        with pytest.raises(
            RuntimeError, match=r'heatmaps by 0\.6 of their range \(0\.5\); int8 d'
        ):
            onnx_file.check_differences(0.6, 0.0, 'int8')
        with pytest.raises(RuntimeError, match=r'keypoints by 0\.6 px \(0\.01\)'):
            onnx_file.check_differences(0.1, 0.6, 'int8')

    @pytest.mark.parametrize(
        ('options', 'message'),
        [
            (
                dict(precision='int4'),
                "unknown precision of export_onnx 'int4'; did you mean 'int8",
            ),
            (dict(precision='int8'), "precision='int8' without calibration: give crops"),
            (dict(calibration=CROPS), "calibration is for precision='int8', not 'float32'"),
            (
                dict(precision='int8', calibration=[CROPS[0][:9]]),
                r'a crop is uint8 \(9, 48, 3\); expected uint8 \(64, 48, 3\)',
            ),
        ],
    )
    def test_options(
        self, tmp_path: Path, model: nn.Module, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            export_onnx(model, tmp_path / 'pose.onnx', SIZE, **options)
