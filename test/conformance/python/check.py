"""Checks of a session: each prints one line that the lane reads."""
import time
import traceback


def check(name):
    def wrap(f):
        try:
            f()
            print('PASS ' + name, flush=True)
        except Exception as e:  # noqa: BLE001 - every failure is a line
            print('FAIL %s: %s %s' % (name, type(e).__name__, str(e)[:300].replace('\n', ' ')), flush=True)
            traceback.print_exc()
    return wrap


def eventually(test, what, seconds=15):
    end = time.time() + seconds
    while not test():
        assert time.time() < end, what
        time.sleep(0.05)
