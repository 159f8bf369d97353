"""Lite-HRNet's published recipe: a fast start from scratch, and milder augmentation.

Stock MMPose trains at 5e-4 instead.
"""

_base_ = './adam_210e.py'

optim_wrapper = dict(optimizer=dict(lr=2e-3))

# The recipe is written for MMPose 0.x: rot_factor=30, scale_factor=0.25. There, angles came from a
# normal distribution clipped at 2 rot_factor, scales from one clipped at 1 -+ scale_factor. The
# truncated distributions of 1.x have the same ranges, without the mass at their ends.
augmentation = dict(
    RandomBBoxTransform=dict(rotate_factor=2 * 30, scale_factor=(1 - 0.25, 1 + 0.25))
)
