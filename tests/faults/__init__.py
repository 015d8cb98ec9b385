"""What happens to damaged files, killed writers, two writers at once, and full or read-only disks.

`make faults` runs all of it and prints a table of counts; tests/test_faults.py runs a sample.
"""
