"""Tensor subclasses: what operations return, and what ``__torch_function__`` is asked."""

import subprocess
import sys

import pytest
import torch
from parity import both

import facade


def subclass(module):
    """Return a subclass that notes what it is asked."""

    log = []

    class Noted(module.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            # PyTorch's own names say the package too
            name = func.__name__.removeprefix("linalg_").removeprefix("special_")
            log.append((name, [kind.__name__ for kind in types if kind is not module.Tensor]))
            return super().__torch_function__(func, types, args, kwargs)

    return Noted, log


EXPRESSIONS = (
    """
x + 1|1 + x|y + x|x - 1|y - x|x * 2|2 * x|x / 2|y / x|x ** 2|y ** x|x @ y|y @ x|-x|+x|abs(x)|x > 1
x == 1|x != 1|x <= 1|x // 2|y // x|x % 2|y % x|~(x > 1)|1 - x|2 ** x|x.sum()|x.T|x.mT|x.real|x.shape
x.grad|x.data|x.requires_grad|x.dtype|x.device|x.ndim|x.is_leaf|x[0]|x.tolist()|x.max(1)|x.size()
torch.add(y, x)|torch.stack([y, x])|torch.cat([x, y])|torch.where(x > 0, x, y)|torch.sin(x)
torch.nn.functional.relu(x)|torch.nn.functional.linear(x, y)|torch.nn.functional.mse_loss(x, y)
torch.linalg.norm(x)|torch.special.expm1(x)|torch.zeros_like(x)|torch.max(x, 1)|torch.equal(x, y)
torch.einsum('ij,jk', x, y)|x.detach()|x.clone()|len(x)|x.split(1)|x.dim()|x.add_(1)|x.float()
x.to(torch.float64)|x.requires_grad_()|x.new_zeros(2)|list(x)[0]|x.view(4)|x.sum().item()|x.numel()
bool(x.sum())|x.mean(dim=0)|x.unbind()|x.stride()|x.reshape(-1)|y.add(x)|y.type_as(x)|repr(x)
x.is_floating_point()|torch.is_tensor(x)|torch.tensor(1.0) * x|x.__iadd__(1)|x.__itruediv__(2)
float(x.sum())|1 in x|reversed(x)|x.as_subclass(torch.Tensor)|torch.numel(x)|torch.isclose(x, y)
""".replace("\n", "|")
    .strip("|")
    .split("|")
)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_results_and_what_is_asked(expression):
    def run(module):
        kind, log = subclass(module)
        x, y = module.ones(2, 2).as_subclass(kind), module.full((2, 2), 2.0)
        result = eval(expression, {"torch": module, "x": x, "y": y})
        parts = result if isinstance(result, tuple | list) else [result]
        asked = [entry for entry in log if not entry[0].startswith("__len__")]
        return [type(p).__name__ for p in parts], asked

    both(run)


def test_values_and_gradients_of_a_plain_subclass():
    def run(module):
        class Kind(module.Tensor):
            pass

        x = Kind([1.0, 2.0]).requires_grad_()
        loss = (x * 3).exp().sum()
        loss.backward()
        assert type(loss) is Kind
        assert type(x.grad) is module.Tensor
        return loss.as_subclass(module.Tensor).detach(), x.grad, str(x.detach()), repr(loss)

    both(run)


def test_the_more_derived_class_is_asked_first_and_strangers_refuse():
    def run(module):
        class One(module.Tensor):
            pass

        class Two(One):
            pass

        class Other(module.Tensor):
            pass

        one, two = (module.ones(2).as_subclass(kind) for kind in (One, Two))
        names = [type(r).__name__ for r in (one + two, two + one, module.add(one, two))]
        with pytest.raises(TypeError) as error:
            one + module.ones(2).as_subclass(Other)
        return names, str(error.value)

    both(run)


@pytest.mark.parametrize(
    "call", ["torch.add(x, 1)", "x.sum()", "x + 1", "torch.nn.functional.relu(x)"]
)
def test_nobody_knows_the_function(call):
    def run(module):
        class Refusing(module.Tensor):
            @classmethod
            def __torch_function__(cls, func, types, args=(), kwargs=None):
                return NotImplemented

        return eval(call, {"torch": module, "x": module.ones(2).as_subclass(Refusing)})

    both(run)


def test_handlers_by_function():
    def run(module):
        handled = {module.mean: "mean", module.Tensor.add: "add", module.nn.functional.relu: "relu"}

        class Handler(module.Tensor):
            @classmethod
            def __torch_function__(cls, func, types, args=(), kwargs=None):
                if func in handled:
                    return handled[func], len(args)
                return super().__torch_function__(func, types, args, kwargs)

        handled |= {module.mean: "mean", module.Tensor.add: "add"}
        handled |= {module.nn.functional.relu: "relu"}
        x = module.ones(3).as_subclass(Handler)
        with module._C.DisableTorchFunctionSubclass():
            plain = type(x.mean()).__name__
        relu = module.nn.functional.relu(x)[0]
        return module.mean(x), x + 1, x.add(1), relu, plain

    both(run)


def test_methods_a_subclass_overrides():
    def run(module):
        class Doubling(module.Tensor):
            def sum(self, *args, **kwargs):
                return super().sum(*args, **kwargs) * 2

        result = module.ones(3).as_subclass(Doubling).sum()
        return type(result).__name__, result.item()

    both(run)


def test_parameters_are_plain():
    def run(module):
        class Mine(module.nn.Parameter):
            pass

        class Kind(module.Tensor):
            pass

        weight = module.nn.Parameter(module.ones(2).as_subclass(Kind))
        results = Mine(module.ones(2)) * 2, module.nn.Parameter(module.ones(2)) * 2, weight * 2
        return [type(r).__name__ for r in results], isinstance(weight, module.nn.Parameter)

    both(run)


def test_objects_that_look_like_tensors():
    def run(module):
        class Tensorlike(module.Tensor):
            """Its definition makes functions ask."""

        class Diagonal:
            @classmethod
            def __torch_function__(cls, func, types, args=(), kwargs=None):
                return func.__name__, len(args), sorted(kwargs or {})

        d, y = Diagonal(), module.ones(2)
        return (
            module.add(d, 1), module.add(y, d, alpha=2), module.sum(d), module.stack([y, d]),
            module.nn.functional.mse_loss(d, d)[:2], y.add(d), y + d, y * d, y - d, d + y,
            module.overrides.is_tensor_like(d), module.overrides.is_tensor_like(3),
            module.overrides.has_torch_function((y, d)), module.overrides.has_torch_function((y,)),
        )  # fmt: skip

    both(run)


def test_overrides():
    def run(module):
        overrides = module.overrides

        @overrides.wrap_torch_function(lambda x: (x,))
        def own(x):
            return "plain"

        class Kind(module.Tensor):
            @classmethod
            def __torch_function__(cls, func, types, args=(), kwargs=None):
                return func.__name__

        x = module.ones(1).as_subclass(Kind)
        names = [module.add, module.Tensor.add, module.nn.functional.relu, module.linalg.norm]
        return (
            own(module.ones(1)), own(x), overrides.handle_torch_function(own, (x,), x),
            [overrides.resolve_name(f) for f in names[:3]],
            overrides.has_torch_function_unary(x), overrides.has_torch_function_variadic(1, x),
            overrides.is_tensor_method_or_property(module.Tensor.add),
            module.add in overrides.get_overridable_functions()[module],
        )  # fmt: skip

    both(run)


def test_plain_tensors_pay_nothing_until_a_subclass_is_defined():
    # Functions keep being the objects that programs imported, compare with or use as keys
    code = """
import inspect
import facade
from facade import nn
from facade.nn.functional import relu
T = facade.Tensor
functions = facade.add, facade.relu, relu, T.add, T.relu, facade.linalg.inv
before = [(f.__code__, str(inspect.signature(f)), f.__name__, f.__doc__) for f in functions]
class A(facade.Tensor): pass
after = [(f.__code__, str(inspect.signature(f)), f.__name__, f.__doc__) for f in functions]
changed = [b[0] is not a[0] for b, a in zip(before, after)]
assert changed == [True, True, True, True, False, True], changed
assert [b[1:] for b in before] == [a[1:] for a in after]
now = facade.add, facade.relu, nn.functional.relu, facade.Tensor.add, facade.Tensor.relu
assert all(x is y for x, y in zip(functions, now))
assert type(relu(A([1.0]))) is A
assert nn.TransformerEncoderLayer(4, 2, 8).activation_relu_or_gelu == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert facade.Tensor.__torch_function__.__self__ is facade.Tensor
    assert torch.Tensor.__torch_function__.__self__ is torch.Tensor
