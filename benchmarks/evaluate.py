"""From features to CMC, mAP and mINP at the size of Market-1501: the published way and ours.

    python -m benchmarks evaluate [--runs 3] [--threads 2]
                                  [--queries 3368] [--gallery 15913] [--width 512]

The published way is that of torchreid, FastReID and the strong baseline: the whole distance matrix,
argsort, then a loop over the queries. Here it is made as fast as we can: distances by one matrix
product and in place, numpy's vectorised argsort, all labels looked up at once, and the loop either
vectorised over the gallery ("vectorised") or compiled by numba where numba is installed
("compiled"). Every run is a process of its own, the ways take turns, and the memory is the peak
above what the process held with the features loaded. All ways must agree on the result.
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

from reidkit.console import whole_number
from reidkit.retrieval import evaluate

from .timing import make_parser

ROOT = pathlib.Path(__file__).resolve().parents[1]  # of the repository
PEOPLE = 750
CAMERAS = 6
DISTRACTORS = 2798 / 15913  # of the gallery, id 0


def make_inputs(queries, gallery, width, seed=0):
    """The arguments of `evaluate`, of the make-up of Market-1501.

    750 people in 6 cameras, a sixth of the gallery distractors of id 0; unit norm, and hard enough
    that a positive is seldom the first.
    """
    generator = torch.Generator().manual_seed(seed)
    person = torch.randn(PEOPLE + 1, width, generator=generator)
    query_ids, query_cameras = _draw_labels(queries, 0, generator)
    gallery_ids, gallery_cameras = _draw_labels(gallery, DISTRACTORS, generator)
    query_features = _draw_features(person, query_ids, generator)
    gallery_features = _draw_features(person, gallery_ids, generator)
    return (
        query_features,
        query_ids,
        query_cameras,
        gallery_features,
        gallery_ids,
        gallery_cameras,
    )


def _draw_labels(count, distractors, generator):
    ids = torch.randint(1, PEOPLE + 1, (count,), generator=generator)
    is_person = torch.rand(count, generator=generator) >= distractors
    cameras = torch.randint(0, CAMERAS, (count,), generator=generator)
    return ids * is_person, cameras


def _draw_features(person, ids, generator):
    noise = torch.randn(len(ids), person.shape[1], generator=generator)
    signal = 0.25 * person[ids] * (ids > 0)[:, None]  # a distractor is noise alone
    return torch.nn.functional.normalize(signal + noise)


def sorted_matches(query, query_ids, query_cameras, gallery, ids, cameras):
    """The published way up to the loop: each ranking's right pictures, and those that are no junk.

    Returns:
        Two (Q, G) bool in the order of the rankings.
    """
    distance = torch.mm(query, gallery.T)
    distance.mul_(-2)
    distance.add_((query**2).sum(1)[:, None])
    distance.add_((gallery**2).sum(1))
    order = numpy.argsort(distance.numpy(), axis=1)  # (Q, G)
    same_id = _sorted_equal(query_ids, ids, order)
    same_camera = _sorted_equal(query_cameras, cameras, order)
    return same_id, ~(same_id & same_camera)


def _sorted_equal(query_labels, labels, order):
    """Whether a query and the pictures of its ranking have the same label (Q, G)."""
    query_labels = query_labels.numpy().astype(numpy.int16)
    labels = labels.numpy().astype(numpy.int16)
    return labels[order] == query_labels[:, None]


def vectorised(*inputs):
    """The loop of torchreid's eval_market1501 in numpy.

    It works on positions of the positives instead of running sums.
    """
    same_id, ranked = sorted_matches(*inputs)
    precisions = []
    penalties = []
    first = []
    for same_id_row, ranked_row in zip(same_id, ranked):
        rank = numpy.flatnonzero(same_id_row[ranked_row]) + 1  # (n,) of the positives
        count = len(rank)
        if count:
            precisions.append((numpy.arange(1, count + 1) / rank).mean())
            penalties.append(count / rank[-1])
            first.append(rank[0])
    return numpy.mean(numpy.array(first) == 1), numpy.mean(precisions), numpy.mean(penalties)


def compiled(*inputs):
    """The same loop in machine code, as torchreid's Cython evaluator, on all threads."""
    same_id, ranked = sorted_matches(*inputs)
    scores = compiled_loop()(same_id, ranked)
    first, precision, penalty = scores[scores[:, 0] > 0].T  # queries with a positive
    return numpy.mean(first == 1), precision.mean(), penalty.mean()


def compiled_loop():
    """(Q, 3): rank of the first positive or 0, average precision, inverse negative penalty."""
    import numba

    @numba.njit(parallel=True, cache=True)
    def loop(same_id, ranked):
        scores = numpy.zeros((len(same_id), 3))
        for q in numba.prange(len(same_id)):
            rank, hits, total = 0, 0, 0.0
            for position in range(same_id.shape[1]):
                if ranked[q, position]:
                    rank += 1
                    if same_id[q, position]:
                        hits += 1
                        total += hits / rank
                        scores[q, 2] = rank
                        if hits == 1:
                            scores[q, 0] = rank
            if hits:
                scores[q, 1] = total / hits
                scores[q, 2] = hits / scores[q, 2]
        return scores

    return loop


def ours(*inputs):
    metrics = evaluate(*inputs)
    return metrics.cmc[1], metrics.map, metrics.minp


WAYS = {"vectorised": vectorised, "compiled": compiled, "ours": ours}


def memory(field):
    """MB of this process, from Linux's own count: VmRSS now, VmHWM the highest so far.

    nan on other systems.
    """
    status = pathlib.Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
    return float("nan")


def child(way, folder, threads):
    """One run in this process: load, warm up on a corner of the inputs, measure.

    Prints one JSON line.
    """
    torch.set_num_threads(threads)
    if way == "compiled":
        import numba

        numba.set_num_threads(threads)
    inputs = [torch.from_numpy(numpy.load(folder / f"{number}.npy")) for number in range(6)]
    corner = [value[:200] for value in inputs]
    WAYS[way](*corner)  # libraries loaded, loop compiled
    if pathlib.Path("/proc/self/clear_refs").exists():
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # forget the highest so far
    memory_before = memory("VmRSS")
    seconds_before = time.perf_counter()
    cpu_before = time.process_time()
    result = WAYS[way](*inputs)
    run = {
        "seconds": time.perf_counter() - seconds_before,
        "cpu": time.process_time() - cpu_before,
        "megabytes": memory("VmHWM") - memory_before,
        "result": [float(value) for value in result],
    }
    print(json.dumps(run))


def parent(arguments):
    """Measure all ways in turn, and print a table and how they compare."""
    ways = list(WAYS)
    try:
        import numba  # noqa: F401
    except ImportError:
        ways.remove("compiled")
        print("numba is not installed: the compiled loop is left out")
    runs = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        inputs = make_inputs(arguments.queries, arguments.gallery, arguments.width)
        for number, value in enumerate(inputs):
            numpy.save(pathlib.Path(folder) / f"{number}.npy", value.numpy())
        for _ in range(arguments.runs):
            for way in ways:  # in turn, so that a busy machine is busy for all
                runs[way].append(_run_child(way, folder, arguments.threads))
    print(
        f"{arguments.queries} x {arguments.gallery} x {arguments.width}, "
        f"{arguments.threads} threads, {arguments.runs} runs of each"
    )
    _print_table(runs)
    for way in ways:
        if way != "ours":
            _compare(way, runs[way], runs["ours"])


def _run_child(way, folder, threads):
    command = [sys.executable, "-m", "benchmarks", "evaluate", "--way", way, "--inputs", folder]
    command += ["--threads", str(threads)]
    ended = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(ended.stdout)


def _print_table(runs):
    print(
        f"{'way':<12}{'seconds (median, min - max)':>30}{'CPU s':>8}{'peak MB':>10}"
        f"{'rank-1':>10}{'mAP':>10}{'mINP':>10}"
    )
    for way, way_runs in runs.items():
        seconds = [run["seconds"] for run in way_runs]
        median = statistics.median(seconds)
        cpu = min(run["cpu"] for run in way_runs)
        megabytes = max(run["megabytes"] for run in way_runs)
        scores = "".join(f"{score:>10.6f}" for score in way_runs[0]["result"])
        print(
            f"{way:<12}{median:>13.2f} ({min(seconds):>5.2f} - {max(seconds):>5.2f})"
            f"{cpu:>8.2f}{megabytes:>10.0f}{scores}"
        )


def _compare(way, way_runs, our_runs):
    """Print how much faster ours is. AssertionError where the results differ."""
    way_seconds = [run["seconds"] for run in way_runs]
    our_seconds = [run["seconds"] for run in our_runs]
    best = min(way_seconds) / min(our_seconds)
    ratios = [slow / fast for slow, fast in zip(way_seconds, our_seconds)]
    print(
        f"ours is {best:.1f} times as fast as {way}, best run against best run; turn by turn "
        f"{statistics.median(ratios):.1f} ({min(ratios):.1f} - {max(ratios):.1f})"
    )
    numpy.testing.assert_allclose(way_runs[0]["result"], our_runs[0]["result"], atol=1e-5)


def main(words=None):
    parser = make_parser("evaluate", __doc__)
    parser.add_argument("--runs", type=whole_number(1), default=3)
    parser.add_argument("--threads", type=whole_number(1, 1024), default=2)
    parser.add_argument("--queries", type=whole_number(1), default=3368)
    parser.add_argument("--gallery", type=whole_number(1), default=15913)
    parser.add_argument("--width", type=whole_number(1), default=512)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--inputs", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.way:
        child(arguments.way, arguments.inputs, arguments.threads)
    else:
        parent(arguments)
