from support.prediction import clip, folder, images, weights

__all__ = ['clip', 'folder', 'images', 'weights']
