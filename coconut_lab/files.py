"""Writing files so that nothing half-written is ever left under the final name."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write `text` (UTF-8) as `write_bytes` does."""
    return write_bytes(path, text.encode())


def write_bytes(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write to a temporary file beside `path`, then rename it into place.

    Args:
        path: the file to make or replace; its folder must exist.
        content: the whole content.

    Returns:
        The path written.

    Raises:
        OSError: the folder is missing, not writable or full; the old file is left as it was.
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a new file gets what an ordinary `open` would give it.
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


@contextmanager
def new_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder that takes the name `folder` when the block ends well.

    An existing folder of that name is replaced as a whole; if the block raises, it stays as it was.

    Args:
        folder: the name the finished folder gets.

    Yields:
        The temporary folder, in the same parent, to write into.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        temporary.chmod(0o755)
        yield temporary
        # A folder with files in it cannot be replaced in one rename, so the old one steps aside.
        old = None
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
            os.replace(folder, old / "content")
        try:
            os.replace(temporary, folder)
        except BaseException:
            if old is not None:
                os.replace(old / "content", folder)
            raise
        finally:
            if old is not None:
                shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
