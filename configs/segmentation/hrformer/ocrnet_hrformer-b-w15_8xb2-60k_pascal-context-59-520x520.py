_base_ = './ocrnet_hrformer-b_8xb2-60k_pascal-context-59-520x520.py'

model = dict(backbone=dict(window=15, drop_path_rate=0.3))
