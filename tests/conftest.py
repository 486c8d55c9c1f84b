"""Shapes and types are checked in every test (`tests.shapes`). `make fuzz` asks for the profile "fuzz", which tries
many more inputs (`tests.fuzzing`). No test asks the hub for anything."""

import os

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}  # read where the libraries are imported

from hypothesis import settings

from tests import shapes

shapes.install()
settings.register_profile("unhurried", deadline=None)  # how long an input takes is not what these tests are about
settings.register_profile("fuzz", deadline=None, print_blob=True)
settings.load_profile("unhurried")
