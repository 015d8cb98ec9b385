"""Arguments that do not fit end in a sentence of ours: what it is, what was expected."""

import math

import numpy
import pytest
import torch
from test_retrieval import perfect_case, random_case

from reidkit.arguments import whole_number
from reidkit.retrieval import bootstrap, evaluate, ranking


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(ap="interpolated"), "rectangle"),
        (dict(ap=None), "ap is None; expected 'rectangle'"),
        (dict(ap=["rectangle"]), "ap is"),
        (dict(ranks=()), "ranks are .*; expected several whole numbers from 1 up"),
        (dict(ranks=5), "ranks are 5; .* a single one is .1,."),
        (dict(ranks=None), "ranks are None"),
        (dict(ranks="15"), "ranks are '15'"),
        (dict(ranks=(0,)), "whole numbers"),
        (dict(ranks=(1, -1)), "whole numbers"),
        (dict(ranks=(1, 2.5)), "whole numbers"),
        (dict(ranks=(1, "5")), "whole numbers"),
        (dict(ranks=(True,)), "whole numbers"),
        (dict(ranks=(math.nan,)), "whole numbers"),
        (dict(query=torch.zeros(0, 10)), "query features have shape \\(0, 10\\)"),
        (dict(gallery=torch.zeros(0, 10)), "gallery features have shape \\(0, 10\\)"),
        (dict(gallery=torch.zeros(20)), "gallery features have shape \\(20,\\)"),
        (dict(query=torch.zeros(10, 3)), "same model"),
        (dict(query=torch.zeros(10, 0)), "query features have shape .10, 0.; expected real num"),
        (dict(gallery=torch.zeros(20, 0)), "gallery features have shape .20, 0."),
        (dict(query=None), "query features are None; expected real numbers of shape .pictures,"),
        (dict(query="features.npz"), "query features are str 'features.npz'"),
        (dict(query=[[1.0, 2.0], [3.0]]), "query features are list .*; expected real numbers"),
        (dict(gallery=[["a"] * 10] * 20), "gallery features are list"),
        (dict(gallery=numpy.array([[None] * 10] * 20)), "gallery features are numpy.object"),
        (dict(query=torch.zeros(10, 10).to(torch.complex64)), "are torch.complex64"),
        (dict(query=torch.ones(10, 10).bool()), "are torch.bool"),
        (dict(query=torch.eye(10).to_sparse()), "query features are sparse.*to_dense"),
        (dict(query={"features": 3}), "query features are dict"),
        (dict(query_ids=None), "query ids are None; expected whole numbers of shape .10,."),
        (dict(query_cameras=None), "query cameras are None; expected whole numbers"),
        (dict(gallery_ids=["a"] * 20), "gallery ids are list .*: number the texts: numpy.unique"),
        (dict(gallery_ids=numpy.array(["a"] * 20)), "number the texts: numpy.unique"),
        (dict(gallery_ids=("1",) * 20), "number the texts"),
        (dict(gallery_ids="a" * 20), "gallery ids are str"),
        (dict(query_ids=[[1], [1, 2]]), "query ids are list"),
        (dict(query_ids=[1.5] * 10), "query ids are torch.float32 .10,."),
        (dict(query_ids=torch.ones(10).bool()), "query ids are torch.bool .10,.; expected whole"),
        (dict(query_ids=[2**70] * 10), "query ids are list"),
        (dict(query_ids=numpy.full(10, 2**63, "uint64")), "query ids go beyond 2..63 - 1"),
        (dict(query_ids=torch.arange(10).reshape(2, 5)), "query ids are torch.int64 .2, 5."),
        (dict(query_cameras=3), "query cameras are torch.int64 ..; expected whole numbers"),
        (dict(query_ids=torch.arange(9)), "query ids"),
        (dict(gallery_ids=torch.arange(20.0)), "gallery ids are torch.float32"),
        (dict(gallery_cameras=torch.zeros(20, 1).long()), "gallery cameras"),
        (dict(query=torch.full((10, 10), torch.nan)), "10 of 10 query features are not finite"),
        (
            dict(gallery=torch.eye(20, 10) / torch.tensor([0.0, *[1] * 9])),
            "not finite, the first in row 0",
        ),
        (dict(query_ids=torch.arange(50, 60)), "none of 10 queries"),
        (dict(query_cameras=torch.ones(10).long()), "10 have it in the same camera only"),
    ],
)
def test_errors(change, message):
    names = ("query", "query_ids", "query_cameras", "gallery", "gallery_ids", "gallery_cameras")
    with pytest.raises(ValueError, match=message):
        evaluate(**{**dict(zip(names, perfect_case())), **change})


@pytest.mark.parametrize("top", [0, -1, 2.0, "3", None, True, [1]])
def test_how_many_are_ranked(top):
    with pytest.raises(ValueError, match="top is .*; expected a whole number from 1 up"):
        ranking(*perfect_case(), top=top)


def test_whole_numbers_of_other_kinds_are_taken():
    case = random_case(4)
    expected = evaluate(*case, ranks=(1, 3))
    for ranks in ([1, 3], numpy.array([1, 3]), torch.tensor([1, 3]), iter((1, 3)), range(1, 4, 2)):
        assert evaluate(*case, ranks=ranks).cmc == expected.cmc
    assert ranking(*case, top=numpy.int64(3))[0].equal(ranking(*case, top=3)[0])
    for value in (numpy.bool_(True), torch.tensor(True), torch.tensor(2.0), numpy.float32(2), [2]):
        with pytest.raises(ValueError, match="expected a whole number$"):
            whole_number(value, "x")


def test_arrays_as_numpy_has_them_and_lists_are_taken():
    case = random_case(4)
    expected = evaluate(*case).map
    arrays = [value.numpy() for value in case]
    backwards = [numpy.ascontiguousarray(value[::-1])[::-1] for value in arrays]
    other_bytes = [value.astype(value.dtype.newbyteorder()) for value in arrays]
    lists = [value.tolist() for value in case]
    for given in (backwards, other_bytes, lists):
        assert evaluate(*given).map == expected


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(metrics=None), "metrics is None; expected what evaluate returns"),
        (dict(metrics={"map": 1.0}), "metrics is dict"),
        (dict(query_ids=torch.arange(9)), "query_ids are torch.int64 .9,.; expected whole numbers"),
        (dict(query_ids=["a"] * 10), "query_ids are list .*number the texts"),
        (dict(query_ids=None), "query_ids are None"),
        (dict(query_ids=torch.rand(10)), "query_ids are torch.float32"),
        (dict(seed="0"), "seed is '0'; expected a whole number"),
        (dict(seed=None), "seed is None"),
        (dict(rounds=0), "rounds is 0; expected a whole number from 1 up"),
        (dict(rounds=10.0), "rounds is 10.0"),
    ],
)
def test_bootstrap(change, message):
    case = perfect_case()
    given = dict(metrics=evaluate(*case), query_ids=case[1]) | change
    with pytest.raises(ValueError, match=message):
        bootstrap(given.pop("metrics"), given.pop("query_ids"), **given)
