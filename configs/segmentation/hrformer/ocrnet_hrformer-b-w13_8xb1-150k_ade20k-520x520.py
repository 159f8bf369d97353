_base_ = './ocrnet_hrformer-b_8xb1-150k_ade20k-520x520.py'

model = dict(backbone=dict(window=13))
