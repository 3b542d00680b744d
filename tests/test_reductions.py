"""Reductions, running sums, sorting, quantiles: values, ties, empty inputs, gradients, errors."""

import math

import pytest
import torch
from tables import check, check_gradients, compare, same

import facade

NAN = math.nan


def operands(module):
    f = module.tensor([[1.0, 2.0, 4.0], [3.0, 4.0, 0.5]])
    return {
        "f": f, "i": f.long(), "b": f > 2, "c": module.complex(f, f * 0 + 1), "h": f.half(),
        "u": f.to(module.uint8), "e": module.zeros(0, 3), "s": module.tensor(2.0), "t": f.t(),
        "n": module.tensor([[1.0, NAN, 3.0], [NAN, NAN, NAN], [2.0, 2.0, -math.inf]]),
        "v": module.tensor([3.0, 1.0, 2.0, 1.0, 3.0, 1.0]),
    }  # fmt: skip


SUMS = (
    "f.sum()", "f.sum(0)", "f.sum(-1)", "f.sum((0, 1))", "f.sum([0, 1], keepdim=True)",
    "f.sum(0, True)", "f.sum(())", "f.sum(None, True)", "f.sum(0, dtype=torch.float64)",
    "i.sum(dtype=torch.int32)", "i.sum(0, dtype=torch.int8)", "i.prod(dtype=torch.int32)",
    "i.nansum(1, dtype=torch.uint8)", "b.prod(0, dtype=torch.bool)", "b.sum(dtype=torch.bool)",
    "f.sum(dtype=torch.int64)", "i.sum()", "i.sum(1)", "b.sum()", "b.sum(0)", "u.sum()", "h.sum()",
    "c.sum(0)", "s.sum()", "s.sum(0)", "s.sum(-1)", "e.sum()", "e.sum(0)", "e.sum(1)", "t.sum(0)",
    "n.sum(0)", "f.mean()", "f.mean(1)", "f.mean((0, 1), True)", "i.mean(dtype=torch.float32)",
    "c.mean()", "e.mean()", "e.mean(0)", "f.prod()", "f.prod(1)", "f.prod(0, True)", "i.prod()",
    "b.prod()", "e.prod()", "e.prod(0)", "n.nansum()", "n.nansum(0, True)", "i.nansum()",
    "n.nanmean()", "n.nanmean(1)", "f.count_nonzero()", "b.count_nonzero(0)",
    "f.count_nonzero((0, 1))", "torch.sum(f, 1)", "torch.mean(input=f, dim=0)",
)  # fmt: skip
SPREADS = (
    "f.var()", "f.var(0)", "f.var(0, False)", "f.var(False)", "f.var(unbiased=False)",
    "f.var((0, 1))", "f.var(dim=None, keepdim=True)", "f.var(0, correction=0)",
    "f.var(1, True, True)", "f.var(correction=2)", "f.var(0, keepdim=True)", "f.std()",
    "f.std(1)", "f.std(0, unbiased=False)", "c.std()", "c.var(0)", "s.std()",
    "s.var(correction=0)", "e.var()", "e.var(0)", "h.std()", "n.std(0)", "torch.var_mean(f)",
    "torch.var_mean(f, (0, 1), correction=0, keepdim=True)", "torch.std_mean(f, 0)",
    "torch.std_mean(f, 0, True)", "(f + 1e4).var(1)",
)  # fmt: skip
EXTREMES = (
    "f.max()", "f.max(0)", "f.max(1, True)", "f.max(dim=0, keepdim=True)", "f.max(f + 1)",
    "torch.max(f, other=f)", "torch.max(f, 1)", "f.min()", "f.min(0)", "torch.min(f, f)",
    "i.max(1)", "b.max()", "b.max(0)", "u.min(0)", "h.max(0)", "s.max(0)", "e.max(1)",
    "n.max()", "n.max(1)", "n.min(0)", "t.max(0)", "f.amax()", "f.amax(0)",
    "f.amax((0, 1), True)", "f.amax(())", "e.amax(1)", "n.amin(1)", "f.argmax()", "f.argmax(0)",
    "f.argmax(1, True)", "f.argmax(keepdim=True)", "f.argmin(dim=None)", "e.argmax(1)",
    "i.argmin(1)", "n.argmax(0)", "n.argmin(1)", "v.argmax()", "torch.aminmax(f)",
    "torch.aminmax(f, dim=0, keepdim=True)", "f.all()", "u.all()", "i.any(0)", "u.any(0)",
    "b.any((0, 1))", "b.all(0, True)", "e.all()", "e.any(0)", "n.any(1)", "f.max(0).values",
    "f.min(1).indices", "f.max(0)[1]",
)  # fmt: skip
NORMS = (
    "f.logsumexp(0)", "f.logsumexp((0, 1), True)", "i.logsumexp(0)", "e.logsumexp(0)",
    "c.logsumexp(0)", "(f - inf).logsumexp(1)", "(f + inf).logsumexp(1)", "f.norm()",
    "f.norm(1)", "f.norm(2, 0)", "f.norm('fro')", "f.norm('fro', (0, 1))", "f.norm(inf, 1)",
    "f.norm(-inf)", "f.norm(0, 1)", "f.norm(0.5)", "f.norm(p=1, dim=0, keepdim=True)",
    "f.norm(dtype=torch.float64)", "c.norm()", "c.norm(1, 0)", "torch.norm(f, dim=1)",
    "torch.norm(f, 3, (0, 1))", "e.norm()", "h.norm()", "s.norm()", "torch.dist(f, f + 1)",
    "torch.dist(f, f * 2, 1)", "torch.dist(f, f[0], inf)", "f.dist(f)",
)  # fmt: skip
RUNNING = (
    "f.cumsum(0)", "f.cumsum(-1)", "i.cumsum(1)", "b.cumsum(0)", "s.cumsum(0)", "e.cumsum(1)",
    "f.cumsum(0, dtype=torch.float64)", "t.cumsum(0)", "f.cumprod(1)", "i.cumprod(0)",
    "n.cumsum(1)", "f.logcumsumexp(0)", "f.cummax(1)", "v.cummax(0)", "v.cummin(0)",
    "n.cummin(1)", "n.cummax(0)", "i.cummin(1)", "s.cummax(0)", "f.clone().cumsum_(0)",
    "torch.diff(f)", "torch.diff(f, dim=0)", "torch.diff(v, n=2)",
    "torch.diff(v, prepend=v[:1], append=v[:2])", "torch.diff(b)", "torch.diff(v, n=0)",
    "torch.trapz(v)", "torch.trapz(v, dx=2.0)", "torch.trapezoid(f, f)",
    "torch.trapezoid(f, dim=0)", "torch.trapezoid(f, v[:3])", "torch.cumulative_trapezoid(v)",
    "torch.cumulative_trapezoid(f, v[:3])", "torch.cov(f)", "torch.cov(v)",
    "torch.cov(f, correction=0)", "torch.cov(f, fweights=i[0])", "torch.cov(f, aweights=f[1])",
    "torch.cov(f, fweights=i[0], aweights=f[1])", "torch.corrcoef(f)", "torch.corrcoef(v)",
)  # fmt: skip
ORDER = (
    "v.sort()", "v.sort(descending=True)", "v.sort(0, True)", "f.sort(0)",
    "f.sort(-2, descending=True)", "v.sort(stable=True, descending=True)", "n.sort()",
    "n.sort(descending=True)", "b.sort()", "s.sort()", "t.sort(0)", "e.sort()", "i.sort(1)",
    "v.argsort()", "v.argsort(descending=True)", "t.argsort(1)", "torch.argsort(f, dim=0)",
    "torch.msort(f)", "f.topk(2)", "f.topk(2, largest=False)", "f.topk(1, 0)", "n[0].topk(2)",
    "n[0].topk(2, largest=False)", "f.topk(0)", "s.topk(1)", "i.topk(1, dim=-2)",
    "torch.topk(f, k=2, dim=1, largest=True, sorted=True)", "f.kthvalue(2)",
    "f.kthvalue(1, 0, True)", "f.median()", "f.median(0)", "f.median(1, True)", "i.median()",
    "e.median()", "n.median()", "n.nanmedian()", "n[0].median(0)", "n[0].nanmedian(0)",
    "v.mode()", "f.mode(0, True)", "i.mode(1)", "v.quantile(0.4)",
    "f.quantile(torch.tensor([0.1, 0.6]))", "f.quantile(0.3, 1)", "f.quantile(0.3, 1, True)",
    "f.quantile(0.3, keepdim=True)", "n.quantile(0.5, 1)", "n.nanquantile(0.5, 1)",
    "v.quantile(0.35, interpolation='lower')", "v.quantile(0.35, interpolation='higher')",
    "v.quantile(0.35, interpolation='nearest')", "v.quantile(0.35, interpolation='midpoint')",
)  # fmt: skip
PLACES = (
    "v.unique()", "i.unique()", "f.unique(return_inverse=True, return_counts=True)",
    "v.unique(return_inverse=True)", "v.unique(return_counts=True)", "b.unique()", "n.unique()",
    "torch.unique(i, dim=0)", "torch.unique(i, dim=1, return_inverse=True, return_counts=True)",
    "torch.unique(v, sorted=False)", "torch.unique_consecutive(v.sort()[0])", "e.unique()",
    "torch.unique_consecutive(i, return_inverse=True, return_counts=True)",
    "torch.unique_consecutive(b, dim=0)", "v.long().bincount()", "i[0].bincount(minlength=8)",
    "i[0].bincount(f[0])", "i[0].bincount(i[1])", "v[:0].long().bincount()", "v.histc()",
    "v.histc(3)", "v.histc(4, 0, 4)", "v.histc(bins=2, min=1, max=2)", "(v * 0).histc(4)",
    "torch.searchsorted(v.sort()[0], v)", "torch.searchsorted(v.sort()[0], v, right=True)",
    "torch.searchsorted(v.sort()[0], 2.5)", "torch.searchsorted(f.sort()[0], f, side='right')",
    "torch.searchsorted(v, v, sorter=v.argsort())",
    "torch.searchsorted(v.sort()[0], v, out_int32=True)", "torch.bucketize(f, v[:3].sort()[0])",
    "torch.bucketize(f, v[:3].sort()[0], right=True)", "torch.bucketize(2, v[:3].sort()[0])",
)  # fmt: skip
ERRORS = (
    "f.sum(5)", "f.sum((0, 0))", "f.sum((0, -2))", "s.sum(1)", "i.mean()", "b.mean(0)",
    "f.mean(dtype=torch.int64)", "i.std()", "f.var(3)", "f.max(5)", "c.max()", "c.max(0)",
    "e.max()", "e.max(0)", "e.min()", "e.amax()", "e.amax(0)", "e.argmax()", "e.argmin(0)",
    "c.argmax()", "b.argmax()", "f.all(3)", "torch.aminmax(e)", "torch.aminmax(e, dim=0)",
    "e.median(0)", "b.median()",
    "i.norm()", "f.norm('a')", "e.norm(inf)", "torch.dist(i, i)", "f.sum_to_size(2)",
    "v.renorm(2, 0, 1.0)", "f.cumsum(2)", "i.logcumsumexp(0)", "i.nanmean()", "f.sort(5)",
    "c.sort()", "f.topk(4)", "f.topk(-1)", "f.kthvalue(4)", "f.kthvalue(0)", "e.kthvalue(1, 0)",
    "f.bincount()", "i.bincount()", "(-i[0]).bincount()", "i.histc()", "v.histc(0)",
    "v.histc(2, 3, 1)", "torch.searchsorted(f, v)", "torch.searchsorted(f, 1.0)",
    "torch.bucketize(v, f)", "v.quantile(2.0)", "i.quantile(0.5)",
    "v.quantile(torch.tensor([0.5], dtype=torch.float64))",
    "v.quantile(0.5, interpolation='x')", "torch.diff(s)", "torch.cov(f[None])",
)  # fmt: skip


@pytest.mark.parametrize(
    "codes",
    [SUMS, SPREADS, EXTREMES, NORMS, RUNNING, ORDER, PLACES, ERRORS],
    ids=["sums", "spreads", "extremes", "norms", "running", "order", "places", "errors"],
)
def test_results(codes):
    check(codes, operands)


MATRICES = {
    "plain": [[0.3, -1.2, 2.0], [1.5, 0.1, -0.4]],
    "ties": [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]],
    "zeros": [[0.0, 0.0, 3.0], [0.0, 2.0, 2.0]],
    "one": [[1.5]],
}
SMOOTH = (
    "x.sum()", "x.sum(1, True)", "x.mean()", "x.mean((0, 1))", "x.max()", "x.max(1)",
    "x.amax(1)", "x.amax()", "x.min()", "x.min(1)", "x.amin(1)", "torch.aminmax(x)[1]",
    "torch.aminmax(x, dim=1)", "x.median()", "x.nanmedian()", "x.median(1)", "x.mode(1)",
    "x.cummax(1)", "x.cummin(1)", "x.cumsum(0)", "x.cumprod(1)", "x.logcumsumexp(1)",
    "x.prod()", "x.prod(1)", "x.sort(1)", "x.sort(0, descending=True)", "x.topk(1, 1)",
    "x.logsumexp(1)", "x.logsumexp((0, 1))", "x.norm()", "x.norm(1)", "x.norm(3)",
    "x.norm(inf)", "x.norm(-inf)", "x.norm(0.5)", "x.norm(-1)", "x.norm(2, 1)",
    "x.norm(1.5, 0, True)", "x.nansum(1)", "x.nanmean(1)", "x.std(1)", "x.std()", "x.var()",
    "x.var(1)", "x.var(0, correction=0)", "torch.var_mean(x, 1)", "torch.std_mean(x)",
    "torch.dist(x, x.detach())", "torch.dist(x, x.detach() * 2 + 1, inf)", "x.quantile(0.3, 1)",
    "torch.diff(x, dim=0)", "torch.cov(x)", "(x * 0).norm()", "(x * 0).norm(3)",
    "(x - 5).std(1)",
)  # fmt: skip


TIES = (
    "x.max()", "x.max(1)", "x.amax(1)", "x.amax()", "x.min(1)", "x.amin(1)", "torch.aminmax(x)[1]",
    "x.median()", "x.nanmedian()", "x.mode(1)", "x.cummax(1)", "x.cummin(1)", "x.sort(1)",
    "x.sort(0, descending=True)", "x.norm(inf)", "x.norm(-inf)", "x.std(1)", "x.var(1)",
    "torch.dist(x, x.detach())",
)  # fmt: skip
ZEROS = (
    "x.prod()", "x.prod(1)", "x.cumprod(1)", "x.norm(1)", "x.norm()", "x.norm(2, 1)", "x.norm(0.5)",
    "x.norm(-1)", "x.norm(-inf)", "(x * 0).norm()", "(x * 0).norm(3)", "x.logcumsumexp(1)",
)  # fmt: skip
ONE = ("x.std()", "x.std(1)", "x.var(0, correction=0)", "x.cumsum(0)", "x.max(1)", "x.prod(1)",
       "torch.cov(x)", "x.quantile(0.3, 1)")  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "codes"), [("plain", SMOOTH), ("ties", TIES), ("zeros", ZEROS), ("one", ONE)]
)
def test_gradients(kind, codes):
    check_gradients([(code, MATRICES[kind]) for code in codes])


def test_gradients_beside_nan():
    rows = [[1.0, 3.0, 3.0], [2.0, 2.0, NAN]]
    codes = (
        "x.sum(1)", "x.max()", "x.max(1)", "x.min(1)", "x.median()", "x.nanmedian()", "x.nansum(1)",
        "x.nanmean(1)", "x.cummax(1)", "x.cummin(1)", "x.sort(1)", "x.std(1)", "x.logsumexp(1)",
        "x.nansum()",
    )  # fmt: skip
    check_gradients([(code, rows) for code in codes])


def test_named_tuples_print_and_unpack():
    def named(module):
        found = module.tensor([[1.0, 5.0], [3.0, 2.0]]).max(1)
        values, indices = found
        return [repr(found), str(module.tensor([2.0, 1.0]).sort()), values, indices,
                found.values is values, isinstance(found, tuple), type(found).__name__]  # fmt: skip

    same(named)


def test_out_tuples():
    def written(module):
        f = module.tensor([[1.0, 5.0], [3.0, 2.0]])
        values, indices = module.empty(2), module.empty(2, dtype=module.int64)
        result = module.max(f, 1, out=(values, indices))
        total = module.zeros(2)
        module.sum(f, 0, out=total)
        return [values, indices, result.values is values, total]

    same(written)


def test_variance_of_a_large_mean_is_exact():
    data = [1e4 + i * 1e-2 for i in range(64)]
    ours, theirs = (m.tensor(data).var() for m in (facade, torch))
    compare("variance", ours, theirs)


def test_second_derivative_of_variance():
    def second(module):
        x = module.tensor([[0.3, 1.0, 2.5]], requires_grad=True)
        (first,) = module.autograd.grad((x.var(1) ** 2).sum(), x, create_graph=True)
        return module.autograd.grad((first**3).sum(), x)[0]

    same(second)
