"""Options of a call: visible in its signature, and all of them used."""

import inspect
from dataclasses import asdict, fields

import pytest

from hrnet_plugin.apis import PoseInferencer
from hrnet_plugin.apis.inference.options import Options, names_closest_option

CHANGED = dict(
    return_datasamples=True,
    batch_size=3,
    bboxes=[[]],
    bbox_thr=0.11,
    nms_thr=0.12,
    pose_based_nms=True,
    return_vis=True,
    show=True,
    wait_time=0.5,
    draw_bbox=True,
    draw_heatmap=True,
    radius=5,
    thickness=6,
    kpt_thr=0.13,
    skeleton_style='openpose',
    black_background=True,
    vis_out_dir='drawn',
    pred_out_dir='predicted',
    track=True,
    smooth=True,
    skip_unreadable=True,
)


def test_each_option_of_a_call_is_used(boxes_only, images, monkeypatch):
    given = []
    monkeypatch.setattr(boxes_only, '_run', lambda *args: given.append(args[-1]))
    default = Options()
    for name, value in CHANGED.items():
        more = dict(track=True) if name == 'smooth' else {}
        boxes_only(images[0], **{'bboxes': [[]], name: value, **more})
        changed = {n for n, v in asdict(given[-1]).items() if v != getattr(default, n)}
        assert changed == {'bboxes', name, *more}
        assert getattr(given[-1], name) == value
    assert set(CHANGED) == {field.name for field in fields(Options)}


def test_defaults_are_visible():
    parameters = inspect.signature(PoseInferencer.__call__).parameters
    for field in fields(Options):
        assert (parameters[field.name].default or '') == (field.default or ''), field.name
    assert all(p.kind is not p.VAR_KEYWORD for p in parameters.values())


def test_out_dir(boxes_only, images, monkeypatch):
    given = []
    monkeypatch.setattr(boxes_only, '_run', lambda *args: given.append(args[-1]))
    boxes_only(images[0], bboxes=[[]], out_dir='o')
    boxes_only(images[0], bboxes=[[]], out_dir='o', vis_out_dir='', pred_out_dir='p')
    assert [(o.vis_out_dir, o.pred_out_dir) for o in given] == [
        ('o/visualizations', 'o/predictions'),
        ('', 'p'),
    ]


def test_the_closest_option_is_named():
    @names_closest_option
    def scale(image: str, *, factor: float = 2) -> float:
        """Scale it."""
        return factor

    assert scale('x', factor=3) == 3
    assert str(inspect.signature(scale)) == '(image: str, *, factor: float = 2) -> float'
    assert scale.__doc__ == 'Scale it.'
    with pytest.raises(TypeError, match=r"unknown option of .*scale 'factr'; did you mean 'fact"):
        scale('x', factr=3)
