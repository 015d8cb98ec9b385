"""reidkit: the thin package behind a hands-on course on person re-identification.

Import the part that you need (`from reidkit import world, losses`): this file imports next to
nothing.
"""

import os

# OpenMP's threads spin while they wait: on a busy machine two of them cost ten times the work. This
# counts where reidkit is imported before torch; course.py sets it for everything that it starts.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.3.0"
