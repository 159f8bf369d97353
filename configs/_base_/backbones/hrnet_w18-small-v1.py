"""HRNet-W18-Small-v1 from scratch: the official ImageNet weights have no address to load from.

`hrnet-plugin convert` takes them, for init_cfg=dict(type='Pretrained', checkpoint=…).
"""

hrnet = dict(arch='w18-small-v1', init_cfg=None)
channels = [16, 32, 64, 128]
