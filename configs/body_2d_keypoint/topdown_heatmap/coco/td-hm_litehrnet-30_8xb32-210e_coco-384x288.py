_base_ = './td-hm_litehrnet-18_8xb32-210e_coco-384x288.py'

model = dict(backbone=dict(arch='lite-30'))
