"""Steps that a reader process can import."""

import os
import signal
import time


def double(item):
    if item == "bad":
        raise ValueError("unreadable")
    if item == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "hang":
        time.sleep(60)
    return item * 2
