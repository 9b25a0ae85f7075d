"""Locks of the system on files, which end with the process that holds them."""


def take_lock(file) -> bool:
    """Take the lock of an open file, until it is closed; False if another process holds it.

    Where the system or the disk has no such locks, it is taken as granted.
    """
    try:
        import fcntl  # not on Windows
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network disk without locks
        return True
    return True
