_base_ = './ocrnet_hrformer-b_8xb1-80k_cityscapes-512x1024.py'

model = dict(backbone=dict(window=15, drop_path_rate=0.4))
