"""cond, while_loop and scan, against PyTorch or against the loop written out."""

import pytest
from parity import both

import facade
from facade._higher_order_ops import scan, while_loop


def values(torch):
    return torch.arange(6.0).reshape(3, 2) / 3


def choose(torch, threshold):
    x = values(torch)
    return torch.cond(x.sum() > threshold, lambda x: x.sin(), lambda x: x.cos() * 2, (x,))


CHOICES = {
    "yes": lambda t: choose(t, 1),
    "no": lambda t: choose(t, 100),
    "bool": lambda t: t.cond(True, lambda x: x, lambda x: -x, (values(t),)),
    "several": lambda t: t.cond(
        t.tensor([False]),
        lambda x, y: (x + 1, y * 2),
        lambda x, y: (x * y, y - 1),
        (values(t), values(t)),
    ),
    "dict": lambda t: t.cond(
        t.tensor(True), lambda d: d["a"] + 1, lambda d: d["a"] - 1, ({"a": values(t)},)
    ),
    "closure": lambda t: t.cond(t.tensor(True), lambda: values(t) * 2, lambda: values(t)),
    "pred": lambda t: t.cond("a", lambda: 1, lambda: 2),
    "many": lambda t: t.cond(t.ones(2), lambda: 1, lambda: 2),
    "not callable": lambda t: t.cond(True, 1, 2),
    "operands": lambda t: t.cond(True, lambda x: x, lambda x: x, (2,)),
}


@pytest.mark.parametrize("case", CHOICES)
def test_cond(case):
    both(CHOICES[case])


def gradients_of_choice(torch, positive):
    x, w = values(torch).requires_grad_(), torch.tensor(2.0, requires_grad=True)
    pred = torch.tensor(positive)
    out = torch.cond(pred, lambda x: (x * w).sin(), lambda x: x * w * w, (x,))
    out.sum().backward()
    return x.grad, w.grad


@pytest.mark.parametrize("positive", [True, False])
def test_gradients_of_cond(positive):
    both(lambda torch: gradients_of_choice(torch, positive))


def test_cond_under_vmap_and_grad():
    def f(x):
        return facade.cond(x.sum() > 1, lambda x: x.sin().sum(), lambda x: (x**2).sum(), (x,))

    found = facade.vmap(facade.func.grad(f))(values(facade))
    x = values(facade)
    expected = facade.where((x.sum(1) > 1)[:, None], x.cos(), 2 * x)
    assert facade.allclose(found, expected)


LOOKED_UP = {
    "cond, this branch": lambda x, i: facade.cond(i[0] == 0, lambda: x[i], lambda: x),
    "while_loop": lambda x, i: while_loop(
        lambda n, y: n < 3, lambda n, y: (n + 1, y + x[i[n]]), (facade.tensor(0), facade.zeros(3))
    ),
    "while_loop's condition": lambda x, i: while_loop(
        lambda n: x[i[n]][0] == n + 1, lambda n: (n + 1,), (facade.tensor(0),)
    ),
    "scan": lambda x, i: scan(lambda c, i: (c + x[i], c), facade.zeros(3), i),
    "cond in a scan": lambda x, i: scan(
        lambda c, i: (c + facade.cond(i > 2, lambda: x[i], lambda: x[0]), c), facade.zeros(3), i
    ),
}


@pytest.mark.parametrize("case", LOOKED_UP)
def test_an_index_out_of_range_is_found(case):
    x, index = facade.ones(3, 3), facade.tensor([0, 5, 1])
    LOOKED_UP[case](x, index * 1)
    with pytest.raises(IndexError, match=r"index 5 is out of bounds"):
        x.sum().item()


def test_an_index_of_the_other_branch_is_not_looked_at():
    x, index = facade.ones(3, 3), facade.tensor([0, 5, 1])
    found = facade.cond(index[0] == 1, lambda: x[index * 1], lambda: x)
    assert facade.equal(found, x)


def test_unlike_branches():
    with pytest.raises(RuntimeError, match="Unmatched output spec"):
        facade.cond(facade.tensor(True), lambda: (values(facade),), lambda: values(facade))
    with pytest.raises(RuntimeError, match="one shape and dtype"):
        facade.cond(facade.tensor(True), lambda: values(facade)[0], lambda: values(facade))


def collatz(n):
    return while_loop(
        lambda n, steps: n != 1,
        lambda n, steps: (facade.where(n % 2 == 0, n // 2, 3 * n + 1), steps + 1),
        (n, facade.tensor(0)),
    )[1]


def test_while_loop():
    assert collatz(facade.tensor(27)).item() == 111
    assert facade.vmap(collatz)(facade.tensor([1, 2, 3, 27])).tolist() == [0, 1, 7, 111]


def test_while_loop_with_gradients():
    x = facade.tensor(1.5, requires_grad=True)
    (y,) = while_loop(lambda y: y < 10, lambda y: (y * x,), (x,))
    y.backward()
    assert y.item() == pytest.approx(1.5**6)
    assert x.grad.item() == pytest.approx(6 * 1.5**5)


def powers(x):
    """x ** 6 at 1.5: as long as it is below 10."""
    return while_loop(lambda y: y < 10, lambda y: (y * x,), (x,))[0]


FORWARD = {
    "jvp": lambda x, f: facade.func.jvp(f, (x,), (facade.tensor(2.0),)),
    "jacfwd": lambda x, f: [facade.func.jacfwd(f)(x)],
    "vmap of jvp": lambda x, f: facade.vmap(lambda x: facade.func.jvp(f, (x,), (x,)))(x[None]),
    "jvp of vmap": lambda x, f: facade.func.jvp(facade.vmap(f), (x[None],), (x[None],)),
    "jvp of jvp": lambda x, f: facade.func.jvp(
        lambda x: facade.func.jvp(f, (x,), (x,))[1], (x,), (x,)
    ),
}


@pytest.mark.parametrize("case", FORWARD)
def test_while_loop_in_forward_mode(case):
    x = facade.tensor(1.5)
    found, expected = (FORWARD[case](x, f) for f in (powers, lambda x: x**6))
    for a, b in zip(found, expected, strict=True):
        assert facade.allclose(a, b)


@pytest.mark.parametrize("transform", [facade.func.grad, facade.func.jacrev])
def test_while_loop_has_no_gradient_in_a_transform(transform):
    with pytest.raises(RuntimeError, match=r"while_loop: there is no gradient .* Use scan"):
        transform(powers)(facade.tensor(1.5))


@pytest.mark.parametrize("transform", ["grad", "jvp", "vmap", "vmap of grad", "jacfwd of grad"])
def test_scan_under_transforms(transform):
    func, xs = facade.func, values(facade)

    def looped(x):
        carry, ys = scan(lambda c, row: (c * row + x[0], c.sin()), x[0], x)
        return (carry * ys).sum()

    def unrolled(x):
        carry, kept = x[0], []
        for row in x:
            kept.append(carry.sin())
            carry = carry * row + x[0]
        return (carry * facade.stack(kept)).sum()

    kinds = {
        "grad": lambda f: func.grad(f)(xs),
        "jvp": lambda f: func.jvp(f, (xs,), (xs.cos(),))[1],
        "vmap": lambda f: facade.vmap(f)(facade.stack([xs, xs + 1])),
        "vmap of grad": lambda f: facade.vmap(func.grad(f))(facade.stack([xs, xs + 1])),
        "jacfwd of grad": lambda f: func.jacfwd(func.grad(f))(xs),
    }
    found, expected = map(kinds[transform], (looped, unrolled))
    assert facade.allclose(found, expected, rtol=1e-4)


def test_while_loop_checks_its_body():
    with pytest.raises(RuntimeError, match="same metadata"):
        while_loop(lambda x: x.sum() < 1, lambda x: (x[0],), (values(facade),))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dim", [0, 1])
def test_scan(reverse, dim):
    xs = values(facade).requires_grad_()
    w = facade.tensor(0.5, requires_grad=True)
    start = facade.zeros(xs.shape[1 - dim])
    carry, ys = scan(lambda c, x: (c * w + x, (c.sin(), c)), start, xs, dim=dim, reverse=reverse)
    (carry.sum() + ys[0].sum() + (ys[1] ** 2).sum()).backward()
    found = [carry.detach(), *(y.detach() for y in ys), xs.grad, w.grad]

    xs2, w2, c = values(facade).requires_grad_(), facade.tensor(0.5, requires_grad=True), start
    kept = []
    order = range(xs2.shape[dim])
    for i in reversed(order) if reverse else order:
        kept.append((c.sin(), c))
        c = c * w2 + xs2.select(dim, i)
    kept = kept[::-1] if reverse else kept
    stacked = [facade.stack(k) for k in zip(*kept, strict=True)]
    (c.sum() + stacked[0].sum() + (stacked[1] ** 2).sum()).backward()
    expected = [c.detach(), *(y.detach() for y in stacked), xs2.grad, w2.grad]
    for a, b in zip(found, expected, strict=True):
        assert facade.allclose(a, b, atol=1e-6)


def test_scan_under_vmap():
    sums = facade.vmap(lambda x: scan(lambda c, x: (c + x, c + x), facade.tensor(0.0), x)[1])
    assert facade.equal(sums(values(facade)), values(facade).cumsum(1))
