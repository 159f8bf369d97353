"""COCO keypoint evaluation: annotations as arrays, OKS, matching, AP and AR, NMS."""
