"""From features to CMC, mAP and mINP at the size of Market-1501: the published way and ours, side by side.

    python benchmarks/evaluate.py [--runs 3] [--threads 2] [--queries 3368] [--gallery 15913] [--width 512]

The published way is that of torchreid, FastReID and the strong baseline: the whole distance matrix, argsort, then a
loop over the queries. Here it is made as fast as we can: distances by one matrix product and in place, numpy's
vectorised argsort, all labels looked up at once, and the loop either vectorised over the gallery ("vectorised") or
compiled by numba where numba is installed ("compiled"). Every run is a process of its own, the ways take turns, and the
memory is the peak above what the process held with the features loaded. All ways must agree on the result.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from reidkit.retrieval import evaluate  # noqa: E402


def make_inputs(queries, gallery, width, seed=0):
    """Features of the make-up of Market-1501: 750 people in 6 cameras, a sixth of the gallery distractors of id 0; unit
    norm, and hard enough that a positive is seldom the first."""
    draw = torch.Generator().manual_seed(seed)

    def side(count, distractors):
        ids = torch.randint(1, 751, (count,), generator=draw) * (
            torch.rand(count, generator=draw) >= distractors
        )
        return ids, torch.randint(0, 6, (count,), generator=draw)

    person = torch.randn(751, width, generator=draw)

    def features(ids):
        noise = torch.randn(len(ids), width, generator=draw)
        return torch.nn.functional.normalize(0.25 * person[ids] * (ids > 0)[:, None] + noise)

    (query_ids, query_cameras), (ids, cameras) = side(queries, 0), side(gallery, 2798 / 15913)
    return features(query_ids), query_ids, query_cameras, features(ids), ids, cameras


def sorted_matches(query, query_ids, query_cameras, gallery, ids, cameras):
    """The published way up to the loop: who is right and who is kept, in the order of each ranking, two (Q, G) bool."""
    distance = (
        torch.mm(query, gallery.T)
        .mul_(-2)
        .add_((query**2).sum(1)[:, None])
        .add_((gallery**2).sum(1))
    )
    order = numpy.argsort(distance.numpy(), axis=1)  # (Q, G)
    ids, cameras = (value.numpy().astype(numpy.int16) for value in (ids, cameras))
    same = ids[order] == query_ids.numpy().astype(numpy.int16)[:, None]
    return same, ~(same & (cameras[order] == query_cameras.numpy().astype(numpy.int16)[:, None]))


def vectorised(*inputs):
    """The loop of torchreid's eval_market1501 in numpy, on positions of the positives instead of running sums."""
    precisions, penalties, first = [], [], []
    for same, kept in zip(*sorted_matches(*inputs)):
        rank = numpy.flatnonzero(same[kept]) + 1
        if len(rank):
            precisions.append((numpy.arange(1, len(rank) + 1) / rank).mean())
            penalties.append(len(rank) / rank[-1])
            first.append(rank[0])
    return numpy.mean(numpy.array(first) == 1), numpy.mean(precisions), numpy.mean(penalties)


def compiled(*inputs):
    """The same loop in machine code, as torchreid's Cython evaluator, on all threads."""
    same, kept = sorted_matches(*inputs)
    found = compiled_loop()(same, kept)
    found = found[found[:, 0] > 0]
    return numpy.mean(found[:, 0] == 1), found[:, 1].mean(), found[:, 2].mean()


def compiled_loop():
    import numba

    @numba.njit(parallel=True, cache=True)
    def loop(same, kept):
        found = numpy.zeros((len(same), 3))
        for q in numba.prange(len(same)):
            rank, hits, total = 0, 0, 0.0
            for position in range(same.shape[1]):
                if kept[q, position]:
                    rank += 1
                    if same[q, position]:
                        hits += 1
                        total += hits / rank
                        found[q, 2] = rank
                        if hits == 1:
                            found[q, 0] = rank
            if hits:
                found[q, 1], found[q, 2] = total / hits, hits / found[q, 2]
        return found

    return loop


def ours(*inputs):
    found = evaluate(*inputs)
    return found.cmc[1], found.map, found.minp


WAYS = {"vectorised": vectorised, "compiled": compiled, "ours": ours}


def memory(field):
    """MB of this process, from Linux's own count: VmRSS now, VmHWM the highest so far; nan on other systems."""
    status = pathlib.Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next(
        (int(line.split()[1]) / 1024 for line in lines if line.startswith(field)), float("nan")
    )


def child(way, path, threads):
    """One run in this process: load, warm up on a corner of the inputs, measure. Prints one JSON line."""
    torch.set_num_threads(threads)
    if way == "compiled":
        import numba

        numba.set_num_threads(threads)
    inputs = [torch.from_numpy(numpy.load(path / f"{number}.npy")) for number in range(6)]
    WAYS[way](*(value[:200] for value in inputs))  # libraries loaded, loop compiled
    if pathlib.Path("/proc/self/clear_refs").exists():
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # forget the highest so far
    before, start, cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
    result = WAYS[way](*inputs)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu": cpu,
                "megabytes": memory("VmHWM") - before,
                "result": [float(value) for value in result],
            }
        )
    )


def parent(arguments):
    ways = dict.fromkeys(WAYS)
    try:
        import numba  # noqa: F401
    except ImportError:
        del ways["compiled"]
        print("numba is not installed: the compiled loop is left out")
    runs = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        for number, value in enumerate(
            make_inputs(arguments.queries, arguments.gallery, arguments.width)
        ):
            numpy.save(pathlib.Path(folder) / f"{number}.npy", value.numpy())
        for _ in range(arguments.runs):
            for way in ways:  # in turn, so that a busy machine is busy for all
                command = [
                    sys.executable,
                    __file__,
                    "--way",
                    way,
                    "--inputs",
                    folder,
                    "--threads",
                    str(arguments.threads),
                ]
                runs[way].append(
                    json.loads(
                        subprocess.run(command, check=True, capture_output=True, text=True).stdout
                    )
                )
    print(
        f"{arguments.queries} x {arguments.gallery} x {arguments.width}, {arguments.threads} threads, "
        f"{arguments.runs} runs of each"
    )
    print(
        f"{'way':<12}{'seconds (median, min - max)':>30}{'CPU s':>8}{'peak MB':>10}"
        f"{'rank-1':>10}{'mAP':>10}{'mINP':>10}"
    )
    for way, found in runs.items():
        seconds = [run["seconds"] for run in found]
        print(
            f"{way:<12}{statistics.median(seconds):>13.2f} ({min(seconds):>5.2f} - {max(seconds):>5.2f})"
            f"{min(run['cpu'] for run in found):>8.2f}"
            f"{max(run['megabytes'] for run in found):>10.0f}"
            + "".join(f"{x:>10.6f}" for x in found[0]["result"])
        )
    for way in ways:
        ratios = [slow["seconds"] / fast["seconds"] for slow, fast in zip(runs[way], runs["ours"])]
        if way != "ours":
            best = min(run["seconds"] for run in runs[way]) / min(
                run["seconds"] for run in runs["ours"]
            )
            print(
                f"ours is {best:.1f} times as fast as {way}, best run against best run; turn by turn "
                f"{statistics.median(ratios):.1f} ({min(ratios):.1f} - {max(ratios):.1f})"
            )
            numpy.testing.assert_allclose(
                runs[way][0]["result"], runs["ours"][0]["result"], atol=1e-5
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (
        ("runs", 3),
        ("threads", 2),
        ("queries", 3368),
        ("gallery", 15913),
        ("width", 512),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--inputs", type=pathlib.Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    child(given.way, given.inputs, given.threads) if given.way else parent(given)
