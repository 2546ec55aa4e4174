"""
Prove the safety contract on the wire: `python3 tests/prove.py` (as root, about 10 minutes).

`--full` measures with the numbers of the contract; it takes hours and can be resumed by starting
it again with the same `--state`. `--only 15,16` measures some promises, `--help` tells the rest.
"""

from __future__ import annotations

import os
import sys

from run import PYTHON, ROOT, set_up

if __name__ == "__main__":
    set_up()
    os.chdir(ROOT)
    command = [str(PYTHON), "-m", "tests.proof", *sys.argv[1:]]
    os.execv(command[0], command)  # noqa: S606 - our own interpreter and module
