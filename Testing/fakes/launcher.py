"""Starts a command as PythonSlicer would, and writes the command's process number to a file.

The command gets a process group of its own, which is harsher than PythonSlicer: whoever kills the
launcher's group does not reach it.
"""

import subprocess
import sys
from pathlib import Path

process = subprocess.Popen(sys.argv[2:], start_new_session=True)
Path(sys.argv[1]).write_text(str(process.pid))
sys.exit(process.wait())
