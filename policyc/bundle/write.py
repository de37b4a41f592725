"""Putting a bundle on the disk, whole or not at all.

A new bundle is built beside its place, in a workshop folder ``.NAME.policyc-HEX``, and moved in with one system call:
``rename`` where nothing stood, ``renameat2(RENAME_EXCHANGE)`` where an old bundle stands. A run that is killed leaves
the old or the new bundle, and perhaps a workshop, which the next run for the same place removes.

Everything is done relative to open folders, so that no path is looked up twice. Modes do not depend on the umask.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress

from policyc.bundle.folder import OPEN_FOLDER, OddFolder, listing, remove_below, shown, why
from policyc.bundle.read import own_files
from policyc.targets.base import Image
from policyc.vocabulary.diagnostic import UnreadableError

FILE_MODE, FOLDER_MODE = 0o644, 0o755

_MARK = "policyc-workshop"
"""A file in each workshop: it says whose the folder is, and its lock says that the run still lives."""
_NEW, _OLD = "new", "old"
_RENAME_EXCHANGE = 2
"""include/uapi/linux/fs.h."""
_NAME_BYTES = 200
"""Longest name of a bundle; a workshop's name is longer and must fit NAME_MAX, 255."""
_TRIES = 100

Identity = tuple[int, int]


def write_bundle(place: str, files: Sequence[Image]) -> None:
    """Make the folder ``place`` hold exactly these files. Names are relative, with ``/`` between folders.

    Raises UnreadableError, with ``place`` as it was, where it cannot be written or holds something that is no bundle.
    """
    folder, name = os.path.split(place.rstrip("/"))
    if name in ("", ".", ".."):
        raise _refused(place, "it is not the name of a new folder", "give one, as in -o vm.bundle")
    if len(os.fsencode(name)) > _NAME_BYTES:
        raise _refused(place, f"its name has more than {_NAME_BYTES} bytes", "choose a shorter one")
    try:
        parent = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError) as reason:
        raise _refused(place, f"the folder {shown(folder or '.')} cannot be opened: {why(reason)}") from None
    try:
        _clean(parent, name)
        old = _standing(place, parent, name)
        workshop = _Workshop(parent, name)
        try:
            workshop.build(files)
            workshop.move_in(place, old)
        finally:
            workshop.remove()
    except (OSError, ValueError) as reason:
        raise _refused(place, why(reason)) from None
    finally:
        os.close(parent)


def _standing(place: str, parent: int, name: str) -> Identity | None:
    """Identity of the bundle that stands at the place; None for nothing or an empty folder. Refuses all else.

    What another run replaces while it is looked at is looked at again.
    """
    for _ in range(_TRIES):
        before = _occupant(parent, name)
        try:
            return _look(place, parent, name)
        except (UnreadableError, FileNotFoundError):
            if before == _occupant(parent, name):
                raise
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _look(place: str, parent: int, name: str) -> Identity | None:
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode):
        raise _refused(place, "it is a symbolic link", "name the folder that it leads to")
    if not stat.S_ISDIR(found.st_mode):
        raise _refused(place, "it is not a folder", "name another place")
    handle = os.open(name, OPEN_FOLDER, dir_fd=parent)
    try:
        if not os.listdir(handle):
            return None
        strangers = sorted(set(listing(handle)) - own_files(handle))
    except (UnreadableError, OddFolder) as reason:
        said = f"the folder there is not a bundle ({reason})"
        raise _refused(place, said, "name another place, or delete the folder") from None
    finally:
        os.close(handle)
    if strangers:
        more = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
        said = f"the bundle there holds files that are not its own: {shown(strangers[0])}{more}"
        raise _refused(place, said, "move them out: a new bundle replaces the whole folder")
    return found.st_dev, found.st_ino


class _Workshop:
    """A folder of this run alone, beside the place; its lock is held until it is removed."""

    def __init__(self, parent: int, name: str) -> None:
        self.parent = parent
        self.name = name
        self.keep = False
        for _ in range(_TRIES):
            self.title = f".{name}.policyc-{os.urandom(8).hex()}"
            os.mkdir(self.title, 0o700, dir_fd=parent)
            try:
                if self.lock():
                    return
            except OSError:
                self.undo()
                raise
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    def lock(self) -> bool:
        """Open the workshop and lock its mark; False if another run took it for a dead one's and removed it."""
        try:
            self.handle = os.open(self.title, OPEN_FOLDER, dir_fd=self.parent)
        except FileNotFoundError:
            return False
        try:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            self.mark = os.open(_MARK, flags, 0o600, dir_fd=self.handle)
        except FileNotFoundError:
            os.close(self.handle)
            return False
        if _lock(self.mark) is not False and os.fstat(self.mark).st_nlink:
            return True
        os.close(self.mark)
        os.close(self.handle)
        return False

    def undo(self) -> None:
        """Take away a workshop that could not be set up."""
        with suppress(OSError):
            os.unlink(f"{self.title}/{_MARK}", dir_fd=self.parent)
        with suppress(OSError):
            os.rmdir(self.title, dir_fd=self.parent)

    def build(self, files: Sequence[Image]) -> None:
        """Write everything below ``new``, and wait until the disk has it."""
        os.mkdir(_NEW, 0o700, dir_fd=self.handle)
        folders = {"": os.open(_NEW, OPEN_FOLDER, dir_fd=self.handle)}
        try:
            for image in files:
                where, _, name = image.name.rpartition("/")
                _write(_folder(folders, where), name, image.data)
            for handle in reversed(folders.values()):
                os.fchmod(handle, FOLDER_MODE)
                _settle(handle)
        finally:
            for handle in folders.values():
                os.close(handle)

    def move_in(self, place: str, old: Identity | None) -> None:
        """Give ``new`` its place. old: what stands there now, to be taken out; None for nothing."""
        if old is None and self.place_first():
            pass
        elif not self.exchange():
            self.replace()
        elif _identity(self.handle, _NEW) != old:
            self.accept(place)
        _settle(self.parent)

    def place_first(self) -> bool:
        """Move ``new`` to where nothing stands; False where another run was quicker."""
        try:
            os.rename(_NEW, self.name, src_dir_fd=self.handle, dst_dir_fd=self.parent)
        except OSError as reason:
            if reason.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        return True

    def accept(self, place: str) -> None:
        """Look at what came out in place of the folder that was looked at before.

        A bundle of another run that wrote here meanwhile is a thing to replace like any other: the last one wins, and
        nothing is ever put back over what a later run has written. What is not a bundle goes back where it was.
        """
        try:
            _standing(place, self.handle, _NEW)
        except UnreadableError:
            self.exchange()
            raise

    def exchange(self) -> bool:
        """Swap ``new`` and the place in one step; False where the kernel or the file system cannot."""
        reason = exchange(self.handle, _NEW, self.parent, self.name)
        if reason in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
            return False
        if reason:
            raise OSError(reason, os.strerror(reason))
        return True

    def replace(self) -> None:
        """Take the old bundle out, then move the new one in. A run killed between is mended by the next (_clean)."""
        os.rename(self.name, _OLD, src_dir_fd=self.parent, dst_dir_fd=self.handle)
        self.keep = True
        try:
            os.rename(_NEW, self.name, src_dir_fd=self.handle, dst_dir_fd=self.parent)
        except OSError:
            os.rename(_OLD, self.name, src_dir_fd=self.handle, dst_dir_fd=self.parent)
            raise
        finally:
            self.keep = not _stands(self.parent, self.name)

    def remove(self) -> None:
        """Delete the workshop with what is in it; what resists is left to the next run."""
        with suppress(OSError):
            if not self.keep:
                _discard(self.parent, self.title, self.handle)
        os.close(self.mark)
        os.close(self.handle)


def exchange(left_folder: int, left: str, right_folder: int, right: str) -> int:
    """Swap two names in one step, renameat2(2); 0 or an errno, ENOSYS where the C library does not have it."""
    import ctypes

    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return errno.ENOSYS
    renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    if renameat2(left_folder, os.fsencode(left), right_folder, os.fsencode(right), _RENAME_EXCHANGE) == 0:
        return 0
    return ctypes.get_errno()


def _clean(parent: int, name: str) -> None:
    """Remove the workshops of runs that were killed. An old bundle that one of them took out is put back."""
    prefix = f".{name}.policyc-"
    for title in os.listdir(parent):
        if (
            title.startswith(prefix)
            and len(title) == len(prefix) + 16
            and not set(title[-16:]) - set("0123456789abcdef")
        ):
            with suppress(OSError):
                _clean_one(parent, name, title)


def _clean_one(parent: int, name: str, title: str) -> None:
    handle = os.open(title, OPEN_FOLDER, dir_fd=parent)
    try:
        if os.fstat(handle).st_uid != os.geteuid():
            return
        try:
            mark = os.open(_MARK, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=handle)
        except FileNotFoundError:
            os.rmdir(title, dir_fd=parent)  # killed before it could be marked; fails unless it is empty
            return
        try:
            if _lock(mark):
                if _stands(handle, _OLD) and not _stands(parent, name):
                    os.rename(_OLD, name, src_dir_fd=handle, dst_dir_fd=parent)
                _discard(parent, title, handle)
        finally:
            os.close(mark)
    finally:
        os.close(handle)


def _discard(parent: int, title: str, handle: int) -> None:
    """Delete a workshop; its mark goes last, so that a run killed here leaves a folder that is still known as one."""
    for each in (_NEW, _OLD):
        if _stands(handle, each):
            remove_below(handle, each)
    os.unlink(_MARK, dir_fd=handle)
    os.rmdir(title, dir_fd=parent)


def _lock(mark: int) -> bool | None:
    """True: locked. False: another run holds it. None: this file system has no locks."""
    import fcntl

    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _folder(folders: dict[str, int], path: str) -> int:
    """The open folder ``path``, made with its parents where it is new."""
    if path not in folders:
        where, _, name = path.rpartition("/")
        above = _folder(folders, where)
        os.mkdir(name, 0o700, dir_fd=above)
        folders[path] = os.open(name, OPEN_FOLDER, dir_fd=above)
    return folders[path]


def _write(folder: int, name: str, data: bytes) -> None:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fchmod(file, FILE_MODE)
        os.fsync(file)
    finally:
        os.close(file)


def _settle(folder: int) -> None:
    """fsync of a folder; some file systems have none (EINVAL)."""
    try:
        os.fsync(folder)
    except OSError as reason:
        if reason.errno != errno.EINVAL:
            raise


def _stands(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _identity(folder: int, name: str) -> Identity:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    return found.st_dev, found.st_ino


def _occupant(folder: int, name: str) -> Identity | None:
    """Identity of what bears the name; None for nothing."""
    try:
        return _identity(folder, name)
    except FileNotFoundError:
        return None


def _refused(place: str, said: str, remedy: str = "") -> UnreadableError:
    return UnreadableError(f"cannot write {shown(place)}: {said}" + (f"; {remedy}" if remedy else ""))
