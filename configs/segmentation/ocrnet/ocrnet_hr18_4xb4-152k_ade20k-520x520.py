_base_ = [
    '../../_base_/models/ocrnet_hr18.py',
    '../../_base_/datasets/ade20k_520x520.py',
    '../../_base_/schedules/segmentation_120e_ade20k.py',
]

# Of the 4 images of a GPU; MMSegmentation counts them per image.
hard_pixels = dict(type='OHEMPixelSampler', thresh=0.9, min_kept=131072 // 4)
aux_head, ocr_head = _base_.model.decode_head
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=[
        dict(aux_head, num_classes=_base_.num_classes),
        dict(ocr_head, num_classes=_base_.num_classes, sampler=hard_pixels),
    ],
)
