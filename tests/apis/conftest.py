from support.prediction import clip, folder, images, inferencer, weights

__all__ = ['clip', 'folder', 'images', 'inferencer', 'weights']
