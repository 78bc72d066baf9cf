"""The chosen fuzzing profile, as a decorator: ``@fuzzed`` above ``@given``."""

from __future__ import annotations

import os

from hypothesis import settings

fuzzed = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
