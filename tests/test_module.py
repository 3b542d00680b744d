"""nn.Module itself: the same code under PyTorch and facade."""

import copy
import inspect
import pickle

import pytest
import torch
from scenarios import assert_same, evaluate, expressions, net, plain

import facade

# ---- signatures ----

MODULE_METHODS = [
    name
    for name in dir(torch.nn.Module)
    if inspect.isfunction(getattr(torch.nn.Module, name)) and name in dir(facade.nn.Module)
]


@pytest.mark.parametrize("name", MODULE_METHODS)
def test_module_methods_have_pytorchs_signature(name):
    def parameters(lib):
        found = inspect.signature(getattr(lib.nn.Module, name)).parameters.values()
        return [(p.name, p.kind, p.default) for p in found]

    assert parameters(facade) == parameters(torch)


def test_which_methods_of_module_are_missing():
    missing = set(dir(torch.nn.Module)) - set(dir(facade.nn.Module))
    assert missing == {
        # what PyTorch does inside itself: torch.compile, tracing, replicas
        *(
            "_compiled_call_impl",
            "_maybe_warn_non_full_backward_hook",
            "_replicate_for_data_parallel",
        ),
        *("_get_backward_hooks", "_get_backward_pre_hooks", "_slow_forward", "_wrapped_call_impl"),
        "T_destination",
        *("ipu", "mtia", "xpu"),  # devices that JAX has not
    }


# ---- registration and attributes ----


@expressions("""


m.p = 3
m.p = torch.ones(2)
m.p = None; r = m.p, list(m._parameters)
m.p = nn.Linear(1, 1); r = list(m._parameters), list(m._modules)
m.child = 3
m.child = None; r = m
m.child = nn.Parameter(torch.ones(1)); r = list(m._parameters), list(m._modules)
m.child = nn.ReLU(); r = m
m.b = 'x'
m.b = None; r = m.state_dict()
m.b = torch.ones(7); r = list(m._buffers), m.b
m.b = nn.Parameter(torch.ones(1)); r = list(m._parameters), list(m._buffers)
m.temporary = torch.zeros(2); r = m.state_dict(), list(m.named_buffers())
m.temporary = nn.ReLU(); m.register_buffer('temporary2', None); r = m._non_persistent_buffers_set
m.plain = nn.Parameter(torch.ones(1)); r = 'plain' in vars(m), m.plain
m.plain = torch.ones(2); r = 'plain' in vars(m), list(m._buffers)
m.new = nn.Buffer(torch.ones(2)); r = list(m._buffers), m.new
m.new = nn.Buffer(torch.ones(2), persistent=False); r = m.state_dict()
m.b = nn.Buffer(torch.ones(2), persistent=False); r = m.state_dict()
m.child.weight = m.p; r = list(m.named_parameters())
del m.p; r = list(m.named_parameters())
del m.b; r = list(m.named_buffers())
del m.temporary; r = m._non_persistent_buffers_set
del m.child; r = m
del m.plain; r = hasattr(m, 'plain')
del m.unknown
m.unknown
m.register_parameter('p2', torch.ones(1))
m.register_parameter('p2', 'x')
m.register_parameter('p2', None); r = m.p2
m.register_parameter('a.b', None)
m.register_parameter('', None)
m.register_parameter(3, None)
m.register_parameter('plain', None)
m.register_parameter('p', nn.Parameter(torch.zeros(1))); r = m.p
m.register_parameter('q', torch.ones(1, requires_grad=True) * 2)
m.register_buffer('b2', 'x')
m.register_buffer('b2', nn.ReLU())
m.register_buffer('a.b', None)
m.register_buffer('', None)
m.register_buffer(3, None)
m.register_buffer('plain', None)
m.register_buffer('child', None)
m.register_buffer('b', torch.ones(1), persistent=False); r = m.state_dict()
m.register_buffer('temporary', torch.ones(1)); r = m.state_dict()
m.add_module('c', 3)
m.add_module('c', torch.ones(2))
m.add_module(3, nn.ReLU())
m.add_module('a.b', nn.ReLU())
m.add_module('', nn.ReLU())
m.add_module('plain', nn.ReLU())
m.add_module('forward', nn.ReLU())
m.add_module('child', nn.ReLU()); r = m
m.register_module('c', None); r = m.c
r = m.get_submodule('deep.0'), m.get_submodule('')
m.get_submodule('deep.7')
m.get_submodule('p')
m.get_submodule('x.y')
r = m.get_parameter('deep.0.weight'), m.get_parameter('p')
m.get_parameter('deep.0.running_mean')
m.get_parameter('deep.9.weight')
m.get_parameter('nope')
r = m.get_buffer('deep.0.running_mean')
m.get_buffer('p')
m.get_buffer('nope')
m.set_submodule('deep.0', nn.ReLU()); r = m
m.set_submodule('fresh', nn.ReLU()); r = m
m.set_submodule('fresh', nn.ReLU(), strict=True)
m.set_submodule('p', nn.ReLU())
m.set_submodule('', nn.ReLU())
m.set_submodule('deep.0', 3)
m.set_submodule('x.y', nn.ReLU())
r = [n for n in dir(m) if n in ('p', 'b', 'child', 'plain', 'forward', '0')]
m.state_dict(None, 'pre.', True)
m.load_state_dict([1])
m.requires_grad_(False); r = list(m.parameters())
r = m.eval().training, m.deep[0].training, m.train().deep[0].training
r = [type(x).__name__ for x in m.apply(lambda x: setattr(x, 'seen', True)).modules() if x.seen]


""")
def test_statements_on_a_module(source):
    def scenario(torch):
        names = {"torch": torch, "nn": torch.nn, "m": net(torch), "r": None}
        exec(source, names)
        return names["r"]

    assert_same(scenario)


@expressions("""
nn.Parameter(torch.ones(1))
nn.ReLU()
nn.Buffer(torch.ones(1))
3
torch.ones(1)
""")
def test_assigning_before_init(source):
    def scenario(torch):
        class Early(torch.nn.Module):
            def __init__(self):
                self.value = evaluate(source)(torch)

        return vars(Early())["value"]

    assert_same(scenario)


@expressions("""
register_parameter
register_buffer
add_module
""")
def test_registering_before_init(source):
    def scenario(torch):
        class Early(torch.nn.Module):
            def __init__(self):
                getattr(self, source)("value", None)

        return Early()

    assert_same(scenario)


def test_call_super_init():
    def scenario(torch):
        class Other:
            def __init__(self, a, b=1):
                self.ab = a, b

        class Both(torch.nn.Module, Other):
            call_super_init = True

        return Both(3, b=4).ab

    assert_same(scenario)


# ---- the tree ----


@expressions("""
list(m.named_parameters())
list(m.named_parameters('pre'))
list(m.named_parameters(recurse=False))
list(m.named_parameters(remove_duplicate=False))
list(m.named_buffers('x', True))
list(m.named_buffers(recurse=False))
list(m.parameters())
list(m.buffers())
list(m.named_children())
list(m.children())
list(m.named_modules())
list(m.named_modules(prefix='a', remove_duplicate=False))
list(m.modules())
len(list(m.modules(remove_duplicate=False)))
m.state_dict(prefix='a.b.')
m.state_dict(prefix='a.b.')._metadata
m.state_dict(keep_vars=True)
""")
def test_walking_the_tree(source):
    assert_same(lambda lib: eval(source, {"m": net(lib)}))


# ---- modes and gradients ----


@expressions("""
{}
{'set_to_none': False}
""")
def test_zero_grad(source):
    def scenario(torch):
        m = torch.nn.Linear(2, 1)
        m(torch.ones(1, 2)).sum().backward()
        grad = m.weight.grad
        m.zero_grad(**eval(source))
        return m.weight.grad, m.weight.grad is grad, grad

    assert_same(scenario)


# ---- conversion ----


@expressions("""
m.to(torch.float64)
m.to(dtype=torch.float16)
m.to('cpu')
m.to('cpu', torch.float64)
m.to(torch.device('cpu'), dtype=torch.bfloat16, non_blocking=True)
m.to(torch.ones(1, dtype=torch.float64))
m.to(device='cpu')
m.to(torch.int64)
m.to(torch.complex64)
m.to()
m.double()
m.float()
m.half()
m.bfloat16()
m.type(torch.float64)
m.cpu()
m._apply(lambda t: t + 1)
""")
def test_conversion(source):
    def scenario(torch):
        m = net(torch)
        m.child(torch.ones(1, 2)).sum().backward()
        before = dict(m.named_parameters())
        returned = eval(source, {"m": m, "torch": torch})
        kept = [p is before[name] for name, p in m.named_parameters()]
        return returned is m, kept, m.state_dict(), m.child.weight.grad

    assert_same(scenario)


def test_compile_accepts_whatever_torch_compile_takes():
    m = net(facade)
    assert m.compile(mode="max-autotune", backend="inductor") is None
    assert m(facade.ones(1, 2)).shape == (1, 1)


def test_to_empty_keeps_shapes_and_dtypes():
    def scenario(torch):
        m = net(torch).to_empty(device="cpu")
        return [(name, t.shape, str(t.dtype)) for name, t in m.state_dict().items()]

    assert_same(scenario)


# ---- copies ----


def test_deepcopy_is_independent_and_keeps_sharing():
    def scenario(torch):
        m = net(torch)
        m.tied = m.p
        twin = copy.deepcopy(m)
        with torch.no_grad():
            twin.p.fill_(9)
        return m.p, twin.tied, twin.tied is twin.p, twin.twin is twin.child, twin

    assert_same(scenario)


def test_pickle():
    for lib in (torch, facade):
        m = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.BatchNorm1d(3)).eval()
        m[0].weight.note = "kept"
        m[0].bias.requires_grad_(False)
        twin = pickle.loads(pickle.dumps(m))
        assert repr(twin) == repr(m)
        assert plain(twin.state_dict(keep_vars=True)) == plain(m.state_dict(keep_vars=True))
        assert twin[0].weight.note == "kept"
        assert not twin.training
        assert isinstance(twin[0].weight, lib.nn.Parameter)


@expressions("""
nn.Parameter()
repr(nn.Parameter(torch.ones(2)))
repr(nn.Parameter(torch.ones(2), requires_grad=False))
nn.Parameter(torch.ones(2, dtype=torch.int64))
nn.Parameter(torch.ones(2, dtype=torch.int64), False)
nn.Parameter([1.0])
nn.Parameter(nn.Parameter(torch.ones(1)), requires_grad=False)
isinstance(torch.ones(1), nn.Parameter), isinstance(nn.Parameter(), torch.Tensor)
isinstance(nn.Buffer(torch.ones(1)), nn.Buffer), isinstance(torch.ones(1), nn.Buffer)
type(nn.Buffer(torch.ones(1))).__name__, nn.Buffer(persistent=False).persistent
type(nn.Parameter(torch.ones(1)) * 2).__name__
type(nn.Parameter(torch.ones(1)).detach()).__name__, nn.Parameter().is_leaf
type(nn.Parameter(torch.ones(1)).data).__name__
nn.Parameter(torch.ones(2, requires_grad=True) * 2).grad_fn
""")
def test_parameters_and_buffers(source):
    assert_same(evaluate(source))


def test_parameter_subclasses_and_marked_tensors():
    def scenario(torch):
        class Special(torch.nn.Parameter):
            pass

        class Tagged(torch.Tensor):
            pass

        special = Special(torch.ones(1))
        tagged = torch.nn.Parameter(torch.ones(1).as_subclass(Tagged))
        kinds = (torch.nn.Parameter, Special, Tagged)
        copied = copy.deepcopy(special)
        shared = torch.ones(1)
        torch.nn.Parameter(shared).data.fill_(5)
        return [[isinstance(x, kind) for kind in kinds] for x in (special, tagged, copied)], shared

    assert_same(scenario)
