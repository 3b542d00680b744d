"""Hooks around forward and backward: the same code under PyTorch and facade."""

import copy
import warnings

import pytest
from scenarios import assert_same, plain

# ---- hooks around forward ----


def hooked(torch, log):
    """A module that logs its forward."""

    class Hooked(torch.nn.Module):
        def forward(self, *args, fail=False, **kwargs):
            log.append(("forward", plain(args), plain(kwargs)))
            if fail:
                raise ValueError("forward failed")
            return sum(args)

    return Hooked()


def noting(log, name, result=None):
    """A hook that logs its arguments and returns ``result``."""

    def hook(module, *args):
        log.append((name, plain(args)))
        return result(*args) if callable(result) else result

    return hook


def test_forward_hooks_run_in_order():
    def scenario(torch):
        log = []
        m = hooked(torch, log)
        m.register_forward_pre_hook(noting(log, "pre 1", lambda args: args[0] + 1))
        m.register_forward_pre_hook(noting(log, "pre 0"), prepend=True)
        m.register_forward_pre_hook(
            noting(log, "pre 2", lambda args, kwargs: ((*args, 5), {"k": 1})), with_kwargs=True
        )
        m.register_forward_hook(noting(log, "post 1", lambda args, out: out * 10))
        last = m.register_forward_hook(noting(log, "post 2"), with_kwargs=True)
        m.register_forward_hook(noting(log, "post 0"), prepend=True, always_call=True)
        log.append(m(1, k=2))
        last.remove()
        last.remove()
        with m.register_forward_hook(noting(log, "inside")):
            log.append(m(1))
        log.append(m(1))
        return log, len(m._forward_hooks), len(m._forward_hooks_with_kwargs)

    assert_same(scenario)


def test_global_hooks_run_before_the_modules_own():
    def scenario(torch):
        modules = torch.nn.modules.module
        log = []
        m = hooked(torch, log)
        m.register_forward_pre_hook(noting(log, "own pre"))
        m.register_forward_hook(noting(log, "own post"))
        handles = [
            modules.register_module_forward_pre_hook(noting(log, "pre", lambda args: (9,))),
            modules.register_module_forward_hook(noting(log, "post", lambda args, out: out + 1)),
            modules.register_module_forward_hook(noting(log, "kwargs"), with_kwargs=True),
        ]
        log.append(m(1))
        for handle in handles:
            handle.remove()
        log.append(m(1))
        return log

    assert_same(scenario)


def test_registration_hooks():
    def scenario(torch):
        modules, nn = torch.nn.modules.module, torch.nn
        log = []
        handles = [
            modules.register_module_parameter_registration_hook(noting(log, "parameter")),
            modules.register_module_buffer_registration_hook(
                noting(log, "buffer", lambda name, value: torch.zeros(1))
            ),
            modules.register_module_module_registration_hook(noting(log, "module")),
        ]
        try:
            m = nn.Sequential(nn.Linear(1, 1, bias=False))
            nn.init.zeros_(m[0].weight)
            m.register_buffer("b", torch.ones(2))
            m.c = nn.ReLU()
        finally:
            for handle in handles:
                handle.remove()
        m.d = nn.ReLU()
        return [(name, args[0]) for name, args in log], m.b

    assert_same(scenario)


def test_always_called_hooks_run_after_an_error():
    def scenario(torch):
        def broken(*args):
            raise KeyError("hook failed")

        log = []
        m = hooked(torch, log)
        m.register_forward_hook(noting(log, "skipped"))
        m.register_forward_hook(noting(log, "always", "seen"), always_call=True)
        m.register_forward_hook(broken, always_call=True)
        m.register_forward_hook(noting(log, "kwargs"), always_call=True, with_kwargs=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pytest.raises(ValueError, match="forward failed"):
                m(1, fail=True)
        return log, [str(w.message) for w in caught]

    assert_same(scenario)


def test_pre_hook_with_kwargs_must_return_a_pair():
    def scenario(torch):
        m = hooked(torch, [])
        m.register_forward_pre_hook(lambda *args: 3, with_kwargs=True)
        m(1)

    assert_same(scenario)


def test_hooks_survive_deepcopy_and_the_handle_does_not_hold_the_module():
    def scenario(torch):
        log = []
        m = hooked(torch, log)
        handle = m.register_forward_hook(noting(log, "post"))
        twin = copy.deepcopy(m)
        handle.remove()
        twin(1)
        del m
        return log, handle.hooks_dict_ref() is None, type(handle.id)

    assert_same(scenario)


# ---- hooks around backward ----


def backward_scenario(prepare, forward=None, inputs=1, requires=(True,), call=None):
    """Run ``prepare(module, log)``, forward and backward; return the log and the gradients."""

    def scenario(torch):
        log = []

        class Scaled(torch.nn.Module):
            def forward(self, *args):
                return forward(*args) if forward else args[0] * 3

        m = Scaled()
        prepare(m, log)
        xs = [torch.full((2,), i + 1.0, requires_grad=requires[i]) for i in range(inputs)]
        out = m(*xs)
        total = (out[0] * 2 if isinstance(out, tuple) else out * 2).sum()
        total.backward()
        return log, [x.grad for x in xs]

    return scenario


def test_full_backward_hooks_see_and_replace_gradients():
    def prepare(m, log):
        m.register_full_backward_hook(noting(log, "second", lambda gi, go: (gi[0] + 1,)))
        m.register_full_backward_hook(noting(log, "first"), prepend=True)
        m.register_full_backward_pre_hook(noting(log, "pre", lambda go: (go[0] * 10,)))

    assert_same(backward_scenario(prepare))


@pytest.mark.parametrize("requires", [(True, True), (True, False), (False, True)], ids=str)
def test_full_backward_hooks_of_several_tensors(requires):
    def prepare(m, log):
        m.register_full_backward_hook(noting(log, "hook"))
        m.register_full_backward_pre_hook(noting(log, "pre"))

    def forward(x, y):
        return x * y, x + y

    assert_same(backward_scenario(prepare, forward, 2, requires))


@pytest.mark.parametrize(
    "which", ("register_full_backward_hook", "register_full_backward_pre_hook")
)
def test_backward_hook_must_return_as_many_gradients(which):
    def prepare(m, log):
        getattr(m, which)(lambda *args: (None, None, None))

    assert_same(backward_scenario(prepare))


def test_backward_hook_without_inputs_that_require_gradients():
    def scenario(torch):
        log = []
        m = torch.nn.Linear(2, 1)
        torch.nn.init.ones_(m.weight)
        m.register_full_backward_hook(noting(log, "hook"))
        m(torch.ones(1, 2)).sum().backward()
        return log, m.weight.grad

    assert_same(scenario)


def test_backward_hooks_do_nothing_without_gradients():
    def scenario(torch):
        log = []
        m = torch.nn.ReLU()
        m.register_full_backward_hook(noting(log, "hook"))
        with torch.no_grad():
            out = m(torch.ones(2, requires_grad=True))
        return log, out, m(torch.ones(1))

    assert_same(scenario)


def test_backward_hook_on_a_module_that_returns_no_tensor():
    def scenario(torch):
        log = []
        m = hooked(torch, log)
        m.register_full_backward_hook(noting(log, "hook"))
        return m(1, 2), log

    assert_same(scenario)


def test_global_backward_hooks():
    def scenario(torch):
        modules = torch.nn.modules.module
        log = []
        handles = [
            modules.register_module_full_backward_hook(noting(log, "hook")),
            modules.register_module_full_backward_pre_hook(noting(log, "pre")),
        ]
        try:
            x = torch.ones(2, requires_grad=True)
            torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Tanh())(x).sum().backward()
        finally:
            for handle in handles:
                handle.remove()
        return [name for name, _ in log], x.grad.shape

    assert_same(scenario)


def test_deprecated_backward_hooks():
    def scenario(torch):
        log = []
        m = torch.nn.ReLU()
        both = torch.nn.Sequential(torch.nn.Linear(2, 3), m)
        torch.nn.init.ones_(both[0].weight)
        m.register_backward_hook(noting(log, "last", lambda given, out: (given[0] * 2,)))
        both.register_backward_hook(noting(log, "all"))
        x = torch.ones(2, requires_grad=True)
        both(x * 1).sum().backward()
        return log, x.grad

    assert_same(scenario)


def test_both_kinds_of_backward_hooks():
    def scenario(torch, first="register_backward_hook", second="register_full_backward_hook"):
        m = torch.nn.ReLU()
        getattr(m, first)(print)
        getattr(m, second)(print)

    assert_same(scenario)
    assert_same(lambda torch: scenario(torch, *reversed(scenario.__defaults__)))
