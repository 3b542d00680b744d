"""Sparse tensors behave as PyTorch's, and say what they can't do."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from counting import compilations
from parity import both
from tables import check

import facade

PLACES, VALUES = [[0, 1, 1], [2, 0, 2]], [3.0, -4.0, 0.5]


def tensors(torch):
    """Return what the expressions below may name."""

    def coo(requires_grad=False):
        return torch.sparse_coo_tensor(PLACES, VALUES, (2, 3), requires_grad=requires_grad)

    def twice(requires_grad=False):
        """One place is given twice."""
        places, values = [[1, 0, 1], [1, 2, 1]], [1.0, 2.0, 4.0]
        return torch.sparse_coo_tensor(places, values, (2, 3), requires_grad=requires_grad)

    def csr(requires_grad=False):
        rows, columns = [0, 1, 3], [2, 0, 2]
        return torch.sparse_csr_tensor(rows, columns, VALUES, (2, 3), requires_grad=requires_grad)

    def gradient(of, function):
        x = of(True)
        result = function(x)
        result = result if result.layout == torch.strided else result.to_dense()
        weights = torch.arange(1.0, 1 + result.numel()).reshape(result.shape)
        (result * weights).sum().backward()
        return x.grad

    def dense_gradient(function):
        d = torch.arange(6.0).reshape(3, 2).requires_grad_()
        function(d).pow(2).sum().backward()
        return d.grad

    return {
        "coo": coo,
        "twice": twice,
        "csr": csr,
        "gradient": gradient,
        "dense_gradient": dense_gradient,
        "s": coo(),
        "c": csr(),
        "d": torch.arange(6.0).reshape(3, 2),
        "e": torch.arange(6.0).reshape(2, 3),
        "g": torch.arange(6.0).reshape(3, 2).requires_grad_(),
        "order": torch.eye(2, 3).to_sparse(),
        "w": torch.arange(1.0, 5.0).reshape(2, 2),
        "hybrid": torch.sparse_coo_tensor([[2, 0]], torch.arange(4.0).reshape(2, 2), (3, 2)),
        "PLACES": PLACES,
    }


# What any sparse tensor x can do; x is substituted
ANY = """
    repr(x) f"{x}" str([x])
    (x.size(),x.size(0),x.dim(),x.numel(),x.dtype,x.device,x.layout,x.shape,len(x),x._nnz())
    (x.sparse_dim(),x.dense_dim(),x.is_sparse,x.is_sparse_csr,x.is_leaf,x.requires_grad)
    x.to_dense() x.to_dense(torch.float64) x.to_sparse() x.to_sparse_coo() x.to_sparse_csr()
    x*2 2*x x*0.5 x*torch.tensor(2.) x*e e*x e+x x*x -x
    x@d torch.mm(x,d) torch.sparse.mm(x,d) torch.mm(x,g) torch.sparse.mm(x,g) w@x torch.mm(w,x)
    torch.mv(x,torch.ones(3)) x@torch.ones(3) x.sum() e.sparse_mask(x)
    torch.addmm(w,x,d,beta=2,alpha=3) torch.sparse.addmm(w,x,d) torch.sparse.addmm(w,x,d,alpha=2)
    torch.nn.functional.linear(torch.ones(2,3),x) torch.nn.functional.relu(x)
    torch.nn.functional.linear(x,torch.ones(4,3),torch.ones(4))
    x.abs() x.sin() x.sqrt() x.relu() x.tanh() x.sign() x.ceil() x.floor() x.round() x.trunc()
    x.log1p() x.atan() x.sinh() x.asinh() x.tan() x.asin() x.deg2rad() x.rad2deg() x.erf()
    x.isinf() x.isnan() x.signbit() x.sgn() x.frac() x.conj_physical()
    x.clone() x.detach() x.double() x.to(torch.int32) torch.zeros_like(x) x.clone().mul_(2)
    x.numpy() x.crow_indices() x.col_indices() x.indices() x.values() x.is_coalesced() x@w
    x.mv(torch.ones(2)) x.requires_grad_().is_leaf x.detach().zero_()
"""
COORDINATES = """
    x.coalesce() x.coalesce().values() x.coalesce().indices() x._values() x._indices()
    x+1 x+e x-e e-x x/2 x/x x**2 x//2 x.t() x.transpose(0,1) x.T x.permute(1,0) x.square()
    torch.sparse.mm(x,x.t()) x@x.t() torch.sparse.sum(x) torch.sparse.sum(x,0) x.stride()
    torch.sparse.sum(x,1) torch.sparse.sum(x,(0,1)) torch.sparse.sum(x,dtype=torch.float64)
    x.sum(0) torch.sparse.sum(x,2) torch.sparse.softmax(x,1) torch.sparse.softmax(x,0)
    torch.sparse.log_softmax(x,1) torch.sparse.softmax(x,2) e.sparse_mask(x.coalesce())
    torch.sparse.mm(x,torch.ones(3,2,dtype=torch.float64)) x.is_contiguous() x.nan_to_num()
    x[0] x[1] x[-1] x[0,2] x[0,1] x[2] x.select(1,0) x.unbind() x.unbind(1) x.norm()
    x.unsqueeze(0) x.unsqueeze(1) x.unsqueeze(-1) x.unsqueeze(4) torch.cat([x,x]) torch.cat([x,s],1)
    torch.cat([x,e]) torch.stack([x,s],1) torch.stack([x,x],-1) torch.cat([x,x.t()]) torch.spmm(x,d)
    x.index_select(1,torch.tensor([2,0,2])) x.index_select(0,torch.tensor([1])) x.sparse_mask(order)
    x.detach().clone().copy_(s)
"""
# What has PyTorch's places only if they are given once and in order
IN_ORDER = "x+x x-x x*x.detach() x.clone().add_(x)"
OTHERS = """
    torch.sparse.sampled_addmm(c,e@d,e) torch.sparse.sampled_addmm(c,w,e,beta=2,alpha=3)
    torch.sparse.sampled_addmm(c,w,e,beta=0) torch.sparse.sampled_addmm(c,w,w)
    torch.sparse.sampled_addmm(c,w,d) torch.sparse.sampled_addmm(c,e,w)
    torch.sparse.sampled_addmm(c,d,w) torch.sparse.sampled_addmm(c,w.double(),e)
    torch.sparse.sampled_addmm(c,w.double(),e.double()) torch.sparse.sampled_addmm(c,w[0],e)
    torch.sparse.sampled_addmm(c,c,e)
    torch.sparse.mm(c,d,"sum") torch.sparse.mm(c,d,"mean") torch.sparse.mm(c,d,"amax")
    torch.sparse.mm(c,d,"amin") torch.sparse.mm(c,g,"amin") torch.sparse.mm(c,d,"prod")
    torch.sparse.mm(c,d,"max") torch.sparse.mm(c,d,"median") torch.sparse.mm(c,d[0],"sum")
    torch.sparse.mm(c,d.double(),"sum") torch.sparse.mm(c,c,"sum") torch.sparse.mm(c,w,"sum")
    hybrid hybrid.to_dense() hybrid.coalesce() torch.sparse.sum(hybrid,1) torch.sparse.sum(hybrid,0)
    torch.sparse.softmax(hybrid.coalesce(),1) hybrid*2 hybrid.t()
    torch.sparse_coo_tensor(torch.empty(2,0),torch.empty(0),(2,3)) torch.sparse_coo_tensor((2,3))
    torch.sparse_coo_tensor([[0,3],[1,1]],[1,2]) torch.sparse_coo_tensor([[0]],[1+2j],(2,))
    torch.sparse_coo_tensor([[0,3],[1,1]],[1,2],dtype=torch.float64)
    torch.sparse_coo_tensor([[0,3],[1,1]],[1,2],(4,2),is_coalesced=True).is_coalesced()
    torch.sparse_coo_tensor(torch.tensor([[0.5]]),[1.],(2,))
    torch.sparse_coo_tensor([[0,0]],[True,True],(2,)).coalesce()
    torch.sparse_coo_tensor([[0]],[2],(2,))+torch.sparse_coo_tensor([[1]],[1.],(2,))
    torch.sparse_coo_tensor(PLACES,torch.ones(3,requires_grad=True),(2,3))
    torch.sparse_coo_tensor([[5]],[1.],(2,),check_invariants=True)
    torch.sparse_coo_tensor([[0,1]],[1.],(2,)) torch.sparse_coo_tensor([[0]],[1.],(2,2))
    torch.sparse_coo_tensor([0],[1.],(2,))
    torch.sparse_coo_tensor([[0]],[1],(1,),requires_grad=True)
    torch.sparse_coo_tensor([[0],[0],[0]],[1.],(1,1,1)).t() s+s.t()
    torch.sparse_csr_tensor([0,1,3],[2,0,1],[3,4,5])
    torch.sparse_csr_tensor(torch.tensor([0,1],dtype=torch.int32),torch.tensor([0]).int(),[1.])
    torch.sparse_compressed_tensor([0,1,3],[2,0,1],[3,4,5],layout=torch.sparse_csr)
    torch.sparse_compressed_tensor([0,1,3],[2,0,1],[3,4,5])
    torch.sparse_csr_tensor([0,1],[0,1],[1.,2.],(1,2),check_invariants=True)
    c+c c+e c*e.t().t() c@c.to_dense().t()
    d.indices() d.values() d.coalesce() d.is_coalesced() d.crow_indices() d.to_dense()
    (d.sparse_dim(),d.dense_dim(),d.layout,d.is_sparse) torch.sparse.sum(d)
    w.to_sparse(3) torch.eye(2).to_sparse(1) (g*1).to_sparse() (g*1).to_sparse(2)
    torch.eye(2).to_sparse_csr() (g*1).to_sparse_csr() torch.eye(60).to_sparse()
    torch.eye(2).to_sparse(layout=torch.sparse_csr)
    hybrid[2] hybrid[1] hybrid.select(1,0) hybrid.unsqueeze(1) hybrid.unsqueeze(2)
    torch.cat([hybrid,hybrid])
    (torch.sparse_coo,torch.sparse_csr,torch.sparse_csc,torch.jagged,torch.strided)
"""


def of_each(table, tensor, without=()):
    """Return the expressions of a table, with a tensor ``x`` of its own for each."""
    codes = [code for code in table.split() if not code.endswith(without)]
    return [f"(lambda x: {code})({tensor})" for code in codes]


def test_coordinates():
    check(of_each(ANY + COORDINATES, "coo(True)"), tensors)


REPEATED = """
    x x.to_dense() x.to_sparse_csr() x*2 x*e e+x -x x@d torch.sparse.mm(x,g) x.sum() x.abs() x.sin()
    e.sparse_mask(x) x.clone() x.double() x.indices() x.values() x.is_coalesced()
"""


def test_repeated_coordinates():
    # of a place that is given twice PyTorch lays out the coordinates in columns
    check(of_each(REPEATED + COORDINATES, "twice(True)", "x.coalesce().indices()"), tensors)


@pytest.mark.parametrize("tensor", ["coo()", "coo(True)"])
def test_places_in_order(tensor):
    check(of_each(IN_ORDER, tensor), tensors)


NOT_OF_ROWS = ("float64)", "nan_to_num", "x@w")  # other words, or missing in PyTorch


def test_rows():
    check(of_each(ANY, "csr(True)", NOT_OF_ROWS), tensors)


def test_making_and_refusing():
    check(OTHERS.split(), tensors)


GRADIENTS = """
    x.to_dense() torch.sparse.mm(x,d) torch.sparse.addmm(w,x,d) x*3 -x x*torch.ones(2,3)
    x.coalesce() x.coalesce().values() torch.sparse.sum(x) torch.sparse.sum(x,0) x+x.detach()
    torch.sparse.softmax(x,1) torch.sparse.log_softmax(x,1) x.to_sparse_csr()
"""


@pytest.mark.parametrize("tensor", ["coo", "twice"])
def test_gradients_are_sparse(tensor):
    check([f"gradient({tensor}, lambda x: {code})" for code in GRADIENTS.split()], tensors)


def test_gradients_of_rows():
    codes = ("x.to_dense()", "torch.sparse.mm(x,d)", "x*3", "x.values()", "x.to_sparse_coo()")
    reduced = [f"torch.sparse.mm(x,d,{way!r})" for way in ("sum", "mean", "amax", "amin")]
    check([f"gradient(csr, lambda x: {code})" for code in (*codes, *reduced)], tensors)


DENSE_GRADIENTS = """
    torch.sparse.mm(s,d) s@d d.t()@s.t() torch.addmm(w,s,d) torch.mv(s,d[:,0]) c@d
    (d*1).to_sparse().values() d.t().sparse_mask(s.coalesce()).values()
    torch.sparse_coo_tensor(PLACES,d[:,1],(2,3)).to_dense() d.t()+s
    torch.sparse.mm((d*1).to_sparse(),s).to_dense() torch.sparse.mm(c,d,"mean")
    torch.sparse.mm(c,d,"amax") torch.sparse.sampled_addmm(c,w,d.t(),beta=2,alpha=3).values()
    torch.sparse.sampled_addmm(c,d.t()@d,e).values()
"""


def test_gradients_of_dense_operands():
    check([f"dense_gradient(lambda d: {code})" for code in DENSE_GRADIENTS.split()], tensors)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[1],
        lambda x: x[0, 2],
        lambda x: x.unbind(1)[0],
        lambda x: facade.cat([x, x], 1),
        lambda x: facade.stack([x, x]),
        lambda x: x.unsqueeze(1),
        lambda x: x.index_select(1, facade.tensor([2, 0, 2])),
        lambda x: x.sin(),
        lambda x: x.norm(),
        lambda x: x @ facade.arange(6.0).reshape(3, 2),
    ],
)
def test_gradients_are_those_of_dense_tensors(function):
    """Of functions that PyTorch has no gradient for, or one of another layout."""
    sparse = tensors(facade)["coo"](True)
    dense = sparse.detach().to_dense().requires_grad_()
    for x in (sparse, dense):
        result = function(x).to_dense()
        (result * facade.arange(1.0, 1 + result.numel()).reshape(result.shape)).sum().backward()
    kept = sparse.detach().to_dense() != 0
    assert facade.allclose(sparse.grad.to_dense(), dense.grad * kept)


def test_second_gradient():
    def code(torch):
        s, g = (tensors(torch)[name] for name in ("s", "g"))
        (first,) = torch.autograd.grad((torch.sparse.mm(s, g) ** 2).sum(), g, create_graph=True)
        return torch.autograd.grad(first.sum(), g)

    both(code)


def test_what_leaves_keep():
    def code(torch):
        names = tensors(torch)
        x, d = names["coo"](True), names["d"]
        handle = x.register_hook(lambda gradient: gradient * 2)
        torch.sparse.mm(x, d).sum().backward()
        handle.remove()
        torch.sparse.mm(x, d).sum().backward()
        accumulated, x.grad = x.grad.clone(), None
        y = x * 2
        y.retain_grad()
        torch.sparse.mm(y, d).sum().backward()
        asked = torch.autograd.grad(torch.sparse.mm(x, d).sum(), x)
        return accumulated, x.grad, y.grad, asked, copy.deepcopy(x)

    both(code)


@pytest.mark.parametrize("kind", ["coo", "twice", "csr"])
def test_backward_from_sparse_results(kind):
    """With a gradient at the same places, at others, or a dense one."""

    def code(torch):
        names = tensors(torch)
        gradients = [names["s"], names["e"]] if kind != "csr" else [names["c"]]
        found = []
        for gradient in gradients:
            x = names[kind](True)
            (x * 3).backward(gradient)
            found.append(x.grad.to_dense() * (x.detach().to_dense() != 0))
        return found

    both(code)


def test_autocast():
    def code(torch):
        names = tensors(torch)
        with torch.autocast("cpu"):
            return [f(names["s"], names["d"]).dtype for f in (torch.sparse.mm, torch.mm)]

    both(code)


@pytest.mark.parametrize("kind", ["coo", "csr"])
def test_a_training_step_is_one_program(kind):
    names = tensors(facade)
    x, layer = names[kind](), facade.nn.Linear(2, 2)
    optimizer = facade.optim.SGD(layer.parameters(), lr=0.1)
    counts = []
    for _ in range(5):
        with compilations() as count:
            optimizer.zero_grad()
            facade.sparse.mm(x, layer(names["d"])).pow(2).sum().backward()
            optimizer.step()
        counts += count
    assert sum(counts[2:]) == 0


def test_values_are_shared():
    def code(torch):
        values = torch.ones(3)
        s = torch.sparse_coo_tensor(PLACES, values, (2, 3))
        values.mul_(5)
        s.mul_(2)
        return s, values

    both(code)


def test_writes_with_a_history():
    def code(torch):
        x, leaf = torch.ones(3, requires_grad=True), tensors(torch)["coo"](True)
        s = torch.sparse_coo_tensor(PLACES, x * 2, (2, 3)) * 1
        s.mul_(3)
        torch.sparse.sum(s).backward()
        with torch.no_grad():
            leaf.mul_(2)
        torch.sparse.sum(leaf).backward()
        return s, x.grad, leaf, leaf.grad

    both(code)
    both(lambda torch: tensors(torch)["coo"](True).mul_(2))


def test_captured_functions_see_writes():
    s, d = (tensors(facade)[name] for name in "sd")
    function = facade.jit(lambda x: facade.sparse.mm(s, x))
    before = function(d)
    s.mul_(2)
    assert facade.equal(function(d), before * 2)
    module = facade.nn.Module()
    module.s = s
    function = facade.jit(lambda x: facade.sparse.mm(module.s, x))
    assert facade.equal(function(d), before * 2)
    module.s = facade.eye(2, 3).to_sparse()
    assert facade.equal(function(d), d[:2])
    product = facade.jit(lambda s, x: facade.sparse.mm(s, x))
    with pytest.raises(NotImplementedError, match=r"torch\.sparse_coo tensor"):
        product(s, d), product(s, d)


@pytest.mark.parametrize("layout", ["coo", "csr"])
def test_large_product(layout):
    """Against numpy: many rows, some empty, places in no order."""
    rng = np.random.default_rng(0)
    places, values = rng.integers(0, (50, 40), (300, 2)).T, rng.normal(size=300)
    dense = rng.normal(size=(40, 7))
    expected = np.zeros((50, 40))
    np.add.at(expected, tuple(places), values)
    s = facade.sparse_coo_tensor(facade.from_numpy(places), facade.from_numpy(values), (50, 40))
    s = s.to_sparse_csr() if layout == "csr" else s
    np.testing.assert_allclose((s @ facade.from_numpy(dense)).numpy(), expected @ dense)
    square = s.coo().t() @ s.coo()
    np.testing.assert_allclose(square.to_dense().numpy(), expected.T @ expected, atol=1e-12)


def test_transforms_and_one_program():
    names = tensors(facade)
    s, c, d = names["s"], names["c"], names["d"]
    expected = facade.sparse.mm(s, d)
    assert facade.equal(facade.jit(lambda x: facade.sparse.mm(s, x))(d), expected)
    slope = facade.func.grad(lambda x: facade.sparse.mm(s, x).sum())(d)
    assert facade.equal(slope, s.to_dense().sum(0)[:, None].expand(3, 2))
    assert facade.equal(facade.vmap(lambda x: c.mv(x))(d.t()), expected.t())


@pytest.mark.parametrize("name", ["s", "c"])
@pytest.mark.parametrize(
    "code, op",
    [
        ("x.cumsum(0)", "cumsum"),
        ("x.exp()", "exp"),
        ("x == x", "eq"),
        ("x.max()", "max_all"),
        ("torch.where(x, x, x)", "where"),
        ("x[:1]", "slice"),
        ("torch.ones(2, 3).copy_(x)", "copy"),
        ("x.tolist()", "this operation"),
    ],
)
def test_what_is_missing_is_named(name, code, op):
    x = tensors(facade)[name]
    with pytest.raises(NotImplementedError) as caught:
        eval(code, {"x": x, "torch": facade})
    assert str(caught.value) == (
        f"{op} is not implemented for a {x.layout!r} tensor; use x.to_dense() first"
    )


def test_invariants_are_checked_on_demand():
    def code(torch):
        checks = torch.sparse.check_sparse_tensor_invariants
        states = [checks.is_enabled()]
        with checks(), checks(False):
            states.append(checks.is_enabled())
            torch.sparse_coo_tensor([[5]], [1.0], (2,))
        checks.enable()
        states.append(checks.is_enabled())
        checks.disable()
        return states, checks()(torch.sparse_coo_tensor)([[5]], [1.0], (2,))

    both(code)


def test_modules_have_sparse_buffers():
    def code(torch):
        module = torch.nn.Module()
        module.register_buffer("s", tensors(torch)["s"])
        module.double()
        state = module.state_dict()
        other = torch.nn.Module()
        other.register_buffer("s", tensors(torch)["s"].double() * 0)
        other.load_state_dict(state)
        return state, other.s

    both(code)


@pytest.mark.parametrize("kind", ["coo", "twice", "csr"])
def test_files_go_both_ways(kind):
    ours, theirs = tensors(facade)[kind](True), tensors(torch)[kind](kind != "csr")
    detached = repr(theirs.detach())
    for written, module in ((ours, torch), (theirs, facade), (ours, facade)):
        file = io.BytesIO()
        (facade if written is ours else torch).save({"x": written}, file)
        file.seek(0)
        assert repr(module.load(file)["x"]) == detached
    assert repr(pickle.loads(pickle.dumps(ours))) == detached
