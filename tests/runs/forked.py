"""Workers in processes of their own that do not import torch again: each is a fork of a process that has."""

import importlib
import multiprocessing
import os
import sys

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["core.runs.worker.loop"])


class Forked:
    """What `subprocess.Popen` is for `python -m MODULE WORDS`, its output in the file `stdout`. MODULE has a `main`."""

    def __init__(self, command, *, stdout, env, **_):
        at = command.index("-m")
        given = (command[at + 1], command[at + 2 :], stdout.name, dict(env))
        self._process = FORKS.Process(target=begin, args=given)
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    def terminate(self):
        self._process.terminate()

    def wait(self, timeout=None):
        self._process.join(timeout)


def lacks(name):
    """Ends a fork with 0 if nothing has imported the module `name`, with 1 otherwise."""
    sys.exit(name in sys.modules)


def begin(module, words, log, environment):
    """What the fork does."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    with open(log, "ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.exit(importlib.import_module(module).main(words))
