_base_ = './td-hm_litehrnet-18_8xb64-210e_coco-256x192.py'

# The published config declares 40 for the head, but its backbone has 30.
model = dict(backbone=dict(arch='naive-18'), head=dict(in_channels=30))
