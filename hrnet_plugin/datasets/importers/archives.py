"""Read zip archives, as tools export them, without writing outside of a folder."""

import errno
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath


def extract(archive: Path, folder: Path) -> None:
    """Extract a zip archive.

    Args:
        archive: The file.
        folder: An empty folder.

    Raises:
        OSError: The disk has no room for the content.
        ValueError: The archive is damaged or encrypted, or a member is outside of the folder.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            size = 0
            for member in file.infolist():
                name = member.filename
                if (
                    PurePosixPath(name).is_absolute()
                    or PureWindowsPath(name).anchor
                    or '..' in PureWindowsPath(name).parts
                ):
                    raise ValueError(
                        f'{archive} has the member {name!r}, which is outside of its folder; '
                        'expected an archive as annotation tools export it'
                    )
                size += member.file_size
            free = shutil.disk_usage(folder).free
            if size > free:
                raise OSError(f'{archive} holds {size:,} bytes; {free:,} are free in {folder}')
            file.extractall(folder)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOTDIR, errno.EISDIR):  # offsets or names in it
            raise ValueError(f'{archive} cannot be read as a zip archive: {error}') from None
        raise
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f'{archive} cannot be read as a zip archive: {error}') from None
