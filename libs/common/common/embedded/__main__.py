"""``python -m common.embedded stop FOLDER``: stops a PostgreSQL that was left behind, for ``make clean-data``."""

import sys
from pathlib import Path

from common import embedded

match sys.argv[1:]:
    case ["stop", folder]:
        try:
            embedded.refuse_in_use(Path(folder))
            embedded.stop(Path(folder))
        except (embedded.EmbeddedError, OSError) as error:
            sys.exit(str(error))
    case _:
        sys.exit("usage: python -m common.embedded stop FOLDER")
