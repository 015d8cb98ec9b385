"""Side-by-side timings, a module each; `python -m benchmarks` lists them."""
