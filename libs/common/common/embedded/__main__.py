"""``python -m common.embedded stop FOLDER``: stops the PostgreSQL of a data folder, for ``make clean-data``."""

import sys
from pathlib import Path

from common import embedded

match sys.argv[1:]:
    case ["stop", folder]:
        embedded.stop(Path(folder))
    case _:
        sys.exit("usage: python -m common.embedded stop FOLDER")
