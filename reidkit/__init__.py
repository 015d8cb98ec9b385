"""reidkit: the thin package behind a hands-on course on person re-identification.

Import the part that you need (`from reidkit import world, losses`): this file imports nothing, so that it costs nothing.
"""

__version__ = "0.1.0"
