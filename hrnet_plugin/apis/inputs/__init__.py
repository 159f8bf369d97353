"""Read images and videos from paths, folders, patterns, arrays and cameras."""
