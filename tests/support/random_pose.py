"""Config of the demo's pose model for random weights: decoded without DARK.

Its step divides by the curvature of a peak, which heatmaps of random weights hardly have:
rounding would decide where keypoints are.
"""

_base_ = '../../configs/demo/td-hm_hrnet-w18-small-v1_demo.py'

model = dict(head=dict(decoder=dict(variant='msra')))
