"""Starts the lab from a checkout: `python app.py`, as a Hugging Face Space does. Installed, it is `edit-lab`."""

import sys

from lab_app.cli import open_page as main

if __name__ == "__main__":
    sys.exit(main())
