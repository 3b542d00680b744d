"""Pin what docs/differences.md says."""

import inspect
import pickle
from functools import partial

import numpy as np
import pytest
import torch

import facade
from facade.tape import state


def test_numpy_copies():
    a = np.ones(3)
    ours, theirs = facade.from_numpy(a), torch.from_numpy(a)
    a[0] = 5
    assert theirs[0].item() == 5
    assert ours[0].item() == 1
    array = ours.numpy()
    array[1] = 7
    assert ours[1].item() == 1


def test_saved_value_written_later():
    def run(module):
        x = module.tensor([1.0, 2.0], requires_grad=True)
        y = x * 1
        z = (y * y).sum()
        y.add_(1)
        z.backward()
        return x.grad.tolist()

    assert run(facade) == [2.0, 4.0]
    try:
        run(torch)
    except RuntimeError as error:
        assert "modified by an inplace operation" in str(error)
    else:
        raise AssertionError("PyTorch computes this now: drop the row")


@pytest.mark.parametrize(
    ("divide", "first"),
    [
        (lambda x, y: x // y, 3),
        (lambda x, y: x % y, 1),
        (lambda x, y: x.fmod(y), 1),
        (lambda x, y: x.div(y, rounding_mode="trunc"), 3),
    ],
)
def test_integer_division_by_zero(divide, first):
    def run(module):
        return divide(module.tensor([7, -7]), module.tensor([2, 0]))

    assert run(facade)[0].item() == first
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        run(torch)


def test_einsum_of_narrow_integers():
    def run(module):
        a, b = (module.ones(2, 3, dtype=module.int32) for _ in range(2))
        return module.einsum("ij,kj->k", a, b)

    result = run(facade)
    assert result.tolist() == [6, 6]
    with pytest.raises(RuntimeError, match="expected scalar type Long but found Int"):
        run(torch)


def test_strides_are_kept():
    x = facade.zeros(2, 3)
    assert x.t().stride() == (1, 3)
    assert not x.t().is_contiguous()
    assert x._value().shape == (2, 3)


def test_empty_is_zero():
    assert facade.empty(3).tolist() == [0.0] * 3


def test_value_dependent_shapes_flush():
    x = facade.ones(3) + 1
    assert state.tape.code
    assert x[x > 1].shape == (3,)
    assert x._cell.array is not None


def test_pending_index_raises_at_the_next_read():
    x = facade.arange(3.0)
    with pytest.raises(IndexError):
        x[facade.tensor([5])]
    pending = facade.tensor([4]) + 1
    y = x[pending]
    line = inspect.currentframe().f_lineno - 1
    with pytest.raises(IndexError) as caught:
        y.tolist()
    (note,) = caught.value.__notes__
    assert f"called at {__file__}:{line};" in note
    table, pending = facade.nn.Embedding(3, 2), facade.tensor([4]) + 1
    with pytest.raises(IndexError) as caught:
        table(pending).tolist()
    assert caught.value.__notes__[0].startswith("in embedding(), called at")
    with facade.set_value_checks(False):
        assert len(x[facade.tensor([4]) + 1].tolist()) == 1


def test_hub_reads_weights_only():
    def default(module):
        function = module.hub.load_state_dict_from_url
        return inspect.signature(function).parameters["weights_only"].default

    assert default(facade) is True
    assert default(torch) is False


def test_one_of_several_views_of_what_was_written():
    x = facade.ones(2, 2, requires_grad=True)
    y = x * 2
    first, _ = y.unbind()
    y.mul_(3)
    first.sum().backward()
    assert x.grad.tolist() == [[6.0, 6.0], [0.0, 0.0]]


def test_untracked_view_of_a_constant():
    x, w = facade.ones(3), facade.ones(2, requires_grad=True)
    with facade.no_grad():
        view = x[:2]
    view.mul_(w)
    x.sum().backward()
    assert w.grad.tolist() == [1.0, 1.0]


def test_views_without_gradients_say_so():
    for module in (facade, torch):
        x = module.ones(3, requires_grad=True)
        with module.no_grad():
            view = x[:2]
        assert view.requires_grad is (module is torch)
        assert view.grad_fn is None


def test_view_of_what_got_a_history():
    for module in (facade, torch):
        x, w = module.ones(2, 2), module.ones(2, requires_grad=True)
        view = x.diagonal()
        x.mul_(w)
        if module is torch:
            with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
                view.zero_()
            view * 1
        view.zero_()
        x.sum().backward()
        assert w.grad.tolist() == [1.0, 1.0]


def test_data_written_after_it_was_saved():
    for module, gradient in ((facade, -1.0), (torch, 1.0)):
        x = module.tensor([-2.0], requires_grad=True)
        y = x.abs()
        x.data.add_(4)
        y.backward()
        assert x.grad.tolist() == [gradient]


def test_when_hooks_run():
    orders = []
    for module in (facade, torch):
        seen = []
        x, y = (module.ones(2, requires_grad=True) for _ in range(2))
        first, second = (y * 1).split(1)
        middle, last = first * 1, x * 1
        for name, t in (("leaf", x), ("middle", middle), ("piece", second)):
            t.register_hook(lambda g, seen=seen, name=name: seen.append(name))
        (middle.sum() + last.sum()).backward()
        orders.append(seen)
    assert orders == [["middle", "leaf"], ["leaf", "middle", "piece"]]


def test_shared_memory_is_a_mark():
    x = facade.zeros(2).share_memory_()
    assert x.is_shared()
    pickle.loads(pickle.dumps(x)).add_(1)
    assert x.tolist() == [0, 0]


def test_write_that_overlaps_unchecked():
    x = facade.arange(9.0)
    x[::2].add_(x[:5])
    assert x.tolist() == [0, 1, 3, 3, 6, 5, 9, 7, 12]


def test_cross_entropy_is_one_node():
    x = facade.zeros(2, 3, requires_grad=True)
    loss = facade.nn.functional.cross_entropy(x, facade.tensor([0, 2]))
    assert loss.grad_fn.name() == "NllLossBackward0"
    assert loss.grad_fn.next_functions[0][0].name() == "torch::autograd::AccumulateGrad"


def test_hooks_see_operands_and_results():
    seen = []
    x = facade.tensor([[2.0, 3.0]], requires_grad=True)
    with facade.autograd.graph.saved_tensors_hooks(lambda t: seen.append(t) or t, lambda t: t):
        y = x.max(1).values
    assert [t.shape for t in seen] == [(1, 2)]  # PyTorch's saves the place of the maximum
    y.backward()
    assert x.grad.tolist() == [[0, 1]]


def test_scaled_step_is_skipped_in_the_program():
    def run(module):
        w = module.ones(2, requires_grad=True)
        optimizer, scaler = module.optim.Adam([w]), module.amp.GradScaler("cpu")
        calls = []
        optimizer.register_step_post_hook(lambda *given: calls.append(1))
        scaler.scale((w * float("inf")).sum()).backward()
        scaler.step(optimizer)
        return w.tolist(), len(calls), len(optimizer.state[w])

    assert run(facade) == ([1.0, 1.0], 1, 3)
    assert run(torch) == ([1.0, 1.0], 0, 0)


@pytest.mark.programs
def test_profiled_block_has_a_row_for_its_ops():
    def run(module):
        x = module.ones(200, 200)
        x.tolist()
        with module.profiler.profile(profile_memory=True) as prof:
            with module.profiler.record_function("block"):
                y = x @ x
            y.tolist()
        averages = prof.key_averages()
        return {event.key for event in averages}, "CPU Mem" in averages.table()

    keys, has_memory = run(facade)
    assert {"block", "block (ops)", "aten::matmul"} <= keys
    assert not has_memory
    keys, has_memory = run(torch)
    assert {"block", "aten::matmul"} <= keys
    assert has_memory


def test_dual_tensors_are_part_of_the_graph():
    forward_ad = facade.autograd.forward_ad
    with forward_ad.dual_level():
        x = forward_ad.make_dual(facade.ones(2), facade.ones(2))
        assert x.requires_grad
        with facade.no_grad():
            assert forward_ad.unpack_dual(x * 2).tangent is None


def test_transformed_results_are_contiguous():
    turned = facade.vmap(lambda x: x.t())(facade.ones(2, 3, 4))
    assert turned.shape == (2, 4, 3) and turned.is_contiguous()


def test_no_values_inside_a_transform():
    with pytest.raises(RuntimeError, match=r"test_differences.py:\d+: grad: Python asked for"):
        facade.func.grad(lambda x: x * x.item())(facade.tensor(3.0))


def test_batching_rules_of_functions_want_all_rows():
    class Twice(facade.autograd.Function):
        @staticmethod
        def forward(x):
            return x * 2

        @staticmethod
        def setup_context(ctx, inputs, output):
            """Keep nothing."""

        @staticmethod
        def vmap(info, in_dims, x):
            return x * 2, 0

    assert facade.vmap(Twice.apply)(facade.arange(2.0)).tolist() == [0, 2]
    with pytest.raises(NotImplementedError, match="chunk_size"):
        facade.vmap(Twice.apply, chunk_size=1)(facade.arange(2.0))


def test_rows_are_written_to_what_is_made_inside():
    x = facade.arange(6.0).reshape(2, 3)
    assert facade.vmap(lambda x: facade.zeros(3).add_(x))(x).tolist() == x.tolist()
    drawn = facade.vmap(lambda x: facade.zeros(9).normal_(), randomness="different")(x)
    assert drawn[0].tolist() != drawn[1].tolist()
    assert facade.vmap(lambda x: facade.normal(x, 1.0), randomness="same")(x).shape == (2, 3)


def test_longer_second_run():
    checkpoint, runs = facade.utils.checkpoint, []

    def function(x):
        runs.append(x)
        return x.exp() if len(runs) == 1 else x.exp() * x

    y = checkpoint.checkpoint(function, facade.ones(2, requires_grad=True), use_reentrant=False)
    with pytest.raises(checkpoint.CheckpointError, match="A different number of tensors"):
        y.sum().backward()


def test_inference_tensors_have_gradients_through_them():
    with facade.inference_mode():
        x = facade.full((2,), 3.0)
    w = facade.ones(2, requires_grad=True)
    (w * x).sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]


def test_equal_elements_keep_their_order():
    x = facade.tensor([2, 1, 2, 1, 2] * 20)
    assert x.sort()[1][:3].tolist() == [1, 3, 6]
    assert x.topk(3)[1].tolist() == [0, 2, 4]
    assert x.kthvalue(3)[1].item() == 6
    assert x.mode()[1].item() == 99


def test_as_strided_scatter_overwrites():
    grads = []
    for module in (facade, torch):
        x, source = module.ones(3, requires_grad=True), module.ones(2, requires_grad=True)
        written = module.as_strided_scatter(x, source, (2,), (1,), 0)
        (written * module.tensor([2.0, 3.0, 4.0])).sum().backward()
        assert source.grad.tolist() == [2.0, 3.0]
        grads.append(x.grad.tolist())
    assert grads == [[0.0, 0.0, 4.0], [2.0, 3.0, 0.0]]


def test_no_complex_halves():
    assert not hasattr(facade, "complex32") and not hasattr(facade.Tensor, "chalf")
    with pytest.raises(NotImplementedError, match="not implemented for 'Half'"):
        facade.view_as_complex(facade.ones(2, 2).half())


def test_tangents_of_symmetric_matrices_are_symmetric():
    tangents = []
    for module in (facade, torch):
        x, t = module.eye(2) * 4, module.tensor([[0.0, 0.0], [4.0, 0.0]])
        with module.autograd.forward_ad.dual_level():
            factor = module.linalg.cholesky(module.autograd.forward_ad.make_dual(x, t))
            tangents.append(module.autograd.forward_ad.unpack_dual(factor).tangent.tolist())
    assert tangents == [[[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [2.0, 0.0]]]


def test_tangents_at_shared_places_add_up():
    tangents = []
    for module in (facade, torch):
        x, at = module.ones(1, 1, 2), module.tensor([[[1, 1]]])
        with module.autograd.forward_ad.dual_level():
            dual = module.autograd.forward_ad.make_dual(x, module.tensor([[[3.0, 4.0]]]))
            found = module.nn.functional.max_unpool1d(dual, at, 1, output_size=(2,))
            tangents.append(module.autograd.forward_ad.unpack_dual(found).tangent.tolist())
    assert tangents[0] == [[[0.0, 7.0]]]
    assert tangents[1] in ([[[0.0, 3.0]]], [[[0.0, 4.0]]])  # whichever of its threads is the last


def test_uninitialized_parameters_are_empty_to_functions():
    assert (facade.nn.LazyLinear(2).weight + 1).numel() == 0
    with pytest.raises(ValueError, match="uninitialized"):
        torch.nn.LazyLinear(2).weight + 1


def test_gradients_have_the_places_of_their_tensor():
    gradients = []
    for module in (facade, torch):
        x = module.sparse_coo_tensor([[1], [0]], [2.0], (2, 2), requires_grad=True)
        d = module.ones(2, 2, requires_grad=True)
        (x @ d).sum().backward()
        (x.detach() * d).to_dense().sum().backward()
        gradients.append((x.grad, d.grad))
    assert gradients[0][0].is_sparse and gradients[0][0].to_dense().tolist() == [[0, 0], [2, 0]]
    assert gradients[1][0].tolist() == [[2.0, 2.0], [2.0, 2.0]]
    assert gradients[0][1].tolist() == gradients[1][1].tolist() == [[2.0, 2.0], [2.0, 0.0]]


def test_sums_are_coalesced():
    for module, kept in ((facade, 1), (torch, 2)):
        x = module.sparse_coo_tensor([[0, 0]], [1.0, 2.0], (2,))
        assert (x + x)._nnz() == kept
        assert (x + x).to_dense().tolist() == [6.0, 0.0]


def test_gradients_of_embeddings_are_dense():
    for module in (facade, torch):
        layer = module.nn.Embedding(3, 1, sparse=True)
        layer(module.tensor([1, 1])).sum().backward()
        assert layer.weight.grad.is_sparse is (module is torch)
        assert layer.weight.grad.to_dense().tolist() == [[0.0], [2.0], [0.0]]


def test_composed_tensors_are_of_subclasses():
    x = facade.eye(2)
    made = (x.to_sparse(), facade.nested.nested_tensor([x]))
    made += (facade.quantize_per_tensor(x, 0.1, 0, facade.quint8),)
    for tensor in made:
        assert isinstance(tensor, facade.Tensor) and type(tensor) is not facade.Tensor


def test_exponentials_of_matrices_of_halves_are_numbers():
    def run(module):
        return module.linalg.matrix_exp(module.ones(2, 2, dtype=module.float16))

    assert facade.isfinite(run(facade)).all()
    assert not torch.isfinite(run(torch)).any()


def test_soft_margin_loss_does_not_overflow():
    def run(module):
        x = module.tensor([200.0], requires_grad=True)
        loss = module.nn.functional.soft_margin_loss(x, module.tensor([-1.0]))
        loss.backward()
        return loss.item(), x.grad.item()

    assert run(facade) == (200.0, 1.0)
    loss, grad = run(torch)
    assert loss == np.inf
    assert np.isnan(grad)


def test_second_gradient_of_a_norm_at_zero():
    def run(module):
        x = module.zeros(2, requires_grad=True)
        (first,) = module.autograd.grad(module.linalg.norm(x), x, create_graph=True)
        return first.tolist(), module.autograd.grad(first.sum(), x)[0].tolist()

    assert run(facade) == ([0.0, 0.0], [0.0, 0.0])
    first, second = run(torch)
    assert first == [0.0, 0.0]
    assert np.isnan(second).all()


def test_functionalize_changes_nothing():
    def run(module, functionalize):
        def f(x, y):
            view = x[0]
            view.add_(y[0])
            y.mul_(2)
            return view.sin(), x.view(-1)

        x, y = module.arange(6.0).reshape(2, 3), module.ones(2, 3)
        results = functionalize(module)(f)(x, y)
        return [t.tolist() for t in (*results, x, y)]

    for remove in ("mutations", "mutations_and_views"):
        theirs = run(torch, lambda m, remove=remove: partial(m.func.functionalize, remove=remove))
        ours = run(facade, lambda m, remove=remove: partial(m.func.functionalize, remove=remove))
        np.testing.assert_allclose(
            np.concatenate([np.ravel(x) for x in ours]),
            np.concatenate([np.ravel(x) for x in theirs]),
            rtol=1e-6,
        )

    def f(x):
        return x

    assert facade.func.functionalize(f) is f
