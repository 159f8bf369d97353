"""Video: associate instances of successive frames, smooth their keypoints."""
