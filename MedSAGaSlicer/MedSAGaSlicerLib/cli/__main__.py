"""``python -m MedSAGaSlicerLib.cli`` is ``medsaga``."""

import sys

from MedSAGaSlicerLib.cli import main

sys.exit(main())
