"""A Jupyter server that ends with whoever started it: at the end of its standard input."""

from __future__ import annotations

import os
import sys
import threading

from jupyter_server.serverapp import main


def _end_with_starter() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_starter, daemon=True).start()
    main()
