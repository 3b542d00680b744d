"""Autocast and GradScaler against PyTorch's; a GPU's lists against PyTorch's fake tensors."""

import copy
import logging
import pickle
import warnings
from functools import partial

import autocast_table
import numpy as np
import pytest
import torch
from counting import compilations
from parity import assert_same, both, outcome
from tables import called
from torch._subclasses.fake_tensor import FakeTensorMode

import facade
from facade import casts

SHARED = ("PRODUCTS", "ELEMENTWISE", "REDUCTIONS", "LOSSES", "MAPS")
TOLERANCE = (2e-2, 2e-2)  # a few roundings of bfloat16, whatever the result's dtype


def lines(*names):
    return [line for name in names for line in getattr(autocast_table, name).split("\n") if line]


def scope_of(module, dtype, device="cpu", grad=True):
    """Return the names of the table, and the leaves that they make."""
    leaves = []

    def make(dtype, requires_grad, *shape):
        numbers = (module.arange(int(np.prod(shape)), device=device) * 7 % 11 + 1) / 16
        t = numbers.reshape(shape).to(dtype).requires_grad_(requires_grad and grad)
        leaves.append(t)
        return t

    def classes(*shape):
        return (module.arange(int(np.prod(shape)), device=device) % 2).reshape(shape)

    scope = {"torch": module, "F": module.nn.functional, "i": classes}
    scope |= {"x": partial(make, dtype, True), "y": partial(make, module.float32, True)}
    return scope | {"z": partial(make, dtype, False)}, leaves


def evaluate(line, module, dtype, fast, **where):
    """Return the line's result under autocast (or its exception), and the leaves it made."""
    scope, leaves = scope_of(module, dtype, **where)
    device = where.get("device", "cpu")
    module.manual_seed(0)
    module.set_autocast_enabled(device, True)
    module.set_autocast_dtype(device, fast)
    try:
        return called(lambda m: eval(line, scope), module), leaves
    finally:
        module.set_autocast_enabled(device, False)
        module.set_autocast_dtype(device, casts.DEFAULTS[device] if module is facade else {
            "cpu": torch.bfloat16, "cuda": torch.float16}[device])  # fmt: skip
        module.clear_autocast_cache()


def gradient_dtypes(leaves):
    """Return the dtypes of gradients and forget them: nobody has to compile them."""
    found = [None if x.grad is None else repr(x.grad.dtype) for x in leaves]
    for x in leaves:
        x.grad = None
    return found


def dtypes_of(result):
    if isinstance(result, tuple | list):
        return [dtypes_of(r) for r in result]
    return result if isinstance(result, Exception) else repr(result.dtype)


class TestLists:
    @pytest.mark.parametrize("name", [*SHARED, "ON_A_CPU", "UNCAST"])
    def test_results_and_gradients_on_a_cpu(self, name):
        rows = {}
        for module in (torch, facade):
            rows[module] = [
                evaluate(line, module, module.float32, module.bfloat16) for line in lines(name)
            ]
            backward(module, [result for result, _ in rows[module]])
        dtypes = {m: [gradient_dtypes(leaves) for _, leaves in rows[m]] for m in rows}
        for i, line in enumerate(lines(name)):
            ours, theirs = rows[facade][i], rows[torch][i]
            try:
                assert dtypes[facade][i] == dtypes[torch][i]
                assert_same(detached(ours[0]), detached(theirs[0]), TOLERANCE)
            except AssertionError as error:
                error.add_note(f"in the line: {line}")
                raise

    @pytest.mark.parametrize("name", [*SHARED, "ON_A_CPU", "UNCAST"])
    def test_dtypes_of_narrow_operands_on_a_cpu(self, name):
        for line in lines(name):
            theirs, ours = (
                dtypes_of(evaluate(line, m, m.bfloat16, m.bfloat16)[0]) for m in (torch, facade)
            )
            assert repr(ours) == repr(theirs), line

    @pytest.mark.parametrize("name", [*SHARED, "UNCAST"])
    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    def test_dtypes_on_a_gpu(self, name, dtype, monkeypatch):
        """PyTorch's fake tensors know a GPU's lists; facade's are tried on a CPU."""
        monkeypatch.setitem(casts.RULES, "cpu", casts.RULES["cuda"])
        for line in lines(name):
            theirs = on_a_fake_gpu(line, dtype)
            ours = evaluate(line, facade, getattr(facade, dtype), facade.float16)[0]
            assert repr(dtypes_of(ours)) == repr(dtypes_of(theirs)), line


def on_a_fake_gpu(line, dtype):
    logging.disable(logging.ERROR)
    try:
        with FakeTensorMode(), torch.no_grad():
            dtype = getattr(torch, dtype)
            return evaluate(line, torch, dtype, torch.float16, device="cuda", grad=False)[0]
    finally:
        logging.disable(logging.NOTSET)


def backward(module, results):
    """Take the gradients of all results' sums in one go."""
    total = 0
    for result in results:
        for part in result if isinstance(result, tuple) else [result]:
            for t in part if isinstance(part, tuple) else [part]:
                if isinstance(t, module.Tensor) and t.requires_grad:
                    total = total + t.double().sum()
    if not isinstance(total, int):
        total.backward()


def detached(result):
    if isinstance(result, tuple):
        return tuple(detached(r) for r in result)
    return result.detach() if hasattr(result, "detach") else result


class TestRegions:
    def test_dtypes_inside_and_outside(self):
        def code(torch):
            w, x = torch.ones(3, 3, requires_grad=True), torch.ones(2, 3)
            found = []
            with torch.autocast("cpu"):
                found.append((x @ w).dtype)
                with torch.autocast("cpu", enabled=False):
                    found.append((x @ w).dtype)
                    found.append(torch.is_autocast_enabled("cpu"))
                    with torch.autocast("cpu", dtype=torch.float16):
                        found.append((x @ x.T).dtype)
                found.append((x @ w).dtype)
                found.append(torch.get_autocast_dtype("cpu"))
            found.append((x @ w).dtype)
            return found

        both(code)

    def test_other_dtypes_and_devices_are_left_alone(self):
        def code(torch):
            x = torch.ones(2, 2)
            with torch.autocast("cpu"):
                wide = x.double() @ x.double()
                whole = x.long() @ x.long()
                nowhere = x.to("meta") @ x.to("meta")
            return wide, whole, nowhere.dtype

        both(code)

    def test_decorator(self):
        def code(torch):
            @torch.autocast("cpu")
            def product(x):
                """Multiply."""
                return x @ x.T

            return product(torch.ones(4, 3)), product.__name__, product.__doc__

        both(code)

    def test_a_decorated_function_that_calls_itself(self):
        @facade.autocast("cpu")
        def down(n):
            return down(n - 1) if n else facade.is_autocast_enabled("cpu")

        assert down(2)
        assert not facade.is_autocast_enabled("cpu")  # PyTorch's stays on

    def test_an_exception_ends_the_region(self):
        def code(torch):
            with pytest.raises(KeyError), torch.autocast("cpu"):
                raise KeyError
            return torch.is_autocast_enabled("cpu"), torch.autocast_increment_nesting() + (
                torch.autocast_decrement_nesting()
            )

        both(code)

    def test_a_parameter_is_cast_once(self):
        def code(torch, **options):
            w, x = torch.ones(3, 3, requires_grad=True), torch.ones(2, 3)
            with torch.autocast("cpu", **options):
                with torch.no_grad():
                    x @ w
                first, second = x @ w, x @ w
                casts = [t.grad_fn.next_functions[1][0] for t in (first, second)]
                with torch.no_grad():
                    w.fill_(2.0)
                stale = (x @ w).detach()
                torch.clear_autocast_cache()
                fresh = (x @ w).detach()
            with torch.autocast("cpu"):
                again = (x @ w).detach()
            return casts[0] is casts[1], stale, fresh, again, torch.is_autocast_cache_enabled()

        both(code)
        both(partial(code, cache_enabled=False))

    def test_gradients_of_a_shared_weight(self):
        def code(torch):
            w = torch.linspace(0.1, 0.9, 9).reshape(3, 3).requires_grad_()
            x = torch.linspace(-1, 1, 6).reshape(2, 3)
            with torch.autocast("cpu"):
                y = (x @ w) @ w
                z = torch.nn.functional.linear(x, w).softmax(-1)
            (y.float().sum() + z.float().square().sum()).backward()
            return y.detach(), w.grad

        assert_same(code(facade), code(torch), TOLERANCE)

    def test_a_value_read_between(self):
        def code(torch):
            w = torch.linspace(0.1, 0.9, 9).reshape(3, 3).requires_grad_()
            with torch.autocast("cpu"):
                y = w @ w
                y.sum().item()
                z = y @ w
            z.sum().backward()
            return z.detach(), w.grad

        assert_same(code(facade), code(torch), TOLERANCE)

    def test_nothing_is_recorded_without_need(self):
        x = facade.ones(3, 3).bfloat16()
        x.tolist()
        with facade.autocast("cpu"):
            y = x @ x
        assert [entry.name for entry, _, _ in y._cell.tape.code].count("_to_copy") == 0

    def test_threads_have_their_own(self):
        import threading

        found = []
        with facade.autocast("cpu"):
            thread = threading.Thread(
                target=lambda: found.append(facade.is_autocast_enabled("cpu"))
            )
            thread.start()
            thread.join()
        assert found == [False]

    @pytest.mark.parametrize(
        "code",
        [
            "torch.autocast(3)",
            "torch.autocast('meta')",
            "torch.autocast('cpu', dtype=torch.float32)._enabled",
            "torch.autocast('cuda')._enabled",
            "torch.autocast('cpu')(3)",
            "torch.autocast('xla', enabled=False).fast_dtype",
            "torch.is_autocast_enabled()",
            "torch.is_autocast_enabled('meta')",
            "torch.is_autocast_enabled(3)",
            "torch.get_autocast_dtype('meta')",
            "[torch.get_autocast_dtype(d) for d in ('cpu', 'cuda', 'xla', 'xpu', 'mps', 'hpu')]",
            "torch.set_autocast_enabled(False)",
            "torch.set_autocast_enabled('cpu', 3)",
            "torch.set_autocast_dtype('cpu', 3)",
            "[torch.amp.is_autocast_available(d) for d in ('cpu', 'cuda', 'meta', 'xla')]",
            "torch.amp.is_autocast_available(3)",
            "torch.amp.custom_fwd(device_type=3)",
            "torch.amp.custom_bwd(device_type=3)",
            "torch.cuda.amp.autocast()._enabled",
            "torch.cpu.amp.autocast().device",
            "torch.cuda.amp.GradScaler().is_enabled()",
            "torch.cpu.amp.GradScaler().get_scale()",
            "torch.cuda.amp.custom_bwd(len).__name__",
            "torch.amp.GradScaler().get_scale()",
            "torch.amp.GradScaler('cpu', growth_factor=1)",
            "torch.amp.GradScaler('cpu', backoff_factor=1)",
            "torch.cat((torch.ones(1).half(), torch.ones(1).bfloat16()))",
            "torch.mm(torch.ones(2, 2).double(), torch.ones(2, 2).double())",
        ],
    )
    def test_words_and_warnings(self, code):
        def run(torch):
            with warnings.catch_warnings(record=True) as seen, torch.autocast("cpu"):
                warnings.simplefilter("always")
                result = outcome(lambda module: eval(code, {"torch": module, "len": len}), torch)
            told = [(w.category, str(w.message), w.filename == "<string>") for w in seen]
            if isinstance(result, Exception):
                return type(result).__name__, str(result).split("\nException raised")[0], told
            return result, told

        assert_same(run(facade), run(torch))

    def test_older_names(self):
        names = [n for n in dir(torch) if "autocast" in n]
        assert [n for n in dir(facade) if "autocast" in n] == names
        for name in names:
            if not any(kind in name for kind in ("_cpu_", "_gpu_", "_ipu_", "_xla_")):
                continue
            value = () if not name.startswith("set") else (False,) if "enabled" in name else None

            def run(torch, name=name, value=value):
                with warnings.catch_warnings(record=True) as seen:
                    warnings.simplefilter("always")
                    given = (torch.bfloat16,) if value is None else value
                    result = getattr(torch, name)(*given)
                text = [str(w.message).split(" (Triggered")[0] for w in seen]
                return result, text, [w.category for w in seen]

            assert_same(run(facade), run(torch))
        for module in (torch, facade):  # as it was
            for kind in ("cuda", "ipu"):
                module.set_autocast_dtype(kind, module.float16)

    def test_custom_forward_and_backward(self):
        def code(torch):
            class Context:
                pass

            found = []

            def note(ctx, x, **kwargs):
                found.append((x.dtype, kwargs, torch.is_autocast_enabled("cpu")))
                return x @ x

            cast = torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)(note)
            plain = torch.amp.custom_fwd(note, device_type="cpu")
            back = torch.amp.custom_bwd(note, device_type="cpu")
            x, results = torch.ones(2, 2).bfloat16(), []
            for forward in (cast, plain):
                ctx = Context()
                with torch.autocast("cpu"):
                    results.append(forward(ctx, x, more=[x.half(), "a", x.double()])[0])
                results.append(back(ctx, x))
                results.append((forward(Context(), x), ctx._dtype, ctx._fwd_used_autocast))
            return results, found

        both(code)


def network(torch, seed=0):
    torch.manual_seed(seed)
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 8), nn.GELU(),
        nn.LayerNorm(8), nn.Linear(8, 3),
    )  # fmt: skip


def train(torch, make_optimizer, steps=6, scaler=None, spoil=(), log=False):
    """Return the losses, the scales, and the parameters' dtypes after some steps."""
    model = network(torch)
    optimizer = make_optimizer(torch, model.parameters())
    numbers = np.random.default_rng(0)
    losses, scales = [], []
    for i in range(steps):
        x = torch.tensor(numbers.standard_normal((8, 1, 6, 6)).astype("float32").tolist())
        y = torch.arange(8) % 3
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(model(x), y)
        if scaler is None:
            loss.backward()
            optimizer.step()
        else:
            scaler.scale(loss * (float("inf") if i in spoil else 1.0)).backward()
            scaler.step(optimizer)
            scaler.update()
            scales.append(scaler.get_scale() if log else None)
        losses.append(loss.item())
    assert all(p.grad.dtype == p.dtype == torch.float32 for p in model.parameters())
    return losses, scales, model, optimizer


OPTIMIZERS = {
    "SGD": lambda torch, p: torch.optim.SGD(p, 0.1, momentum=0.9),
    "dampened SGD": lambda torch, p: torch.optim.SGD(p, 0.1, momentum=0.9, dampening=0.5),
    "AdamW": lambda torch, p: torch.optim.AdamW(p, 0.01),
}


class TestTraining:
    def test_autocast(self):
        theirs = train(torch, OPTIMIZERS["AdamW"])[0]
        np.testing.assert_allclose(train(facade, OPTIMIZERS["AdamW"])[0], theirs, rtol=3e-2)

    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_with_scaler_and_skipped_steps(self, name):
        found = []
        for module in (torch, facade):
            scaler = module.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
            found.append(
                (train(module, OPTIMIZERS[name], 7, scaler, spoil=(0, 3), log=True), scaler)
            )
        (theirs, their_scaler), (ours, our_scaler) = found
        np.testing.assert_allclose(ours[0], theirs[0], rtol=3e-2)
        assert ours[1] == theirs[1]
        assert our_scaler.state_dict() == their_scaler.state_dict()
        our_state, their_state = (run[3].state_dict()["state"] for run in (ours, theirs))
        for i, kept in their_state.items():
            if "step" in kept:
                assert our_state[i]["step"].item() == kept["step"].item() == 5

    def test_a_skipped_step_changes_nothing(self):
        scaler = facade.amp.GradScaler("cpu")
        _, _, model, optimizer = train(facade, OPTIMIZERS["AdamW"], 2, scaler)
        before = copy.deepcopy([p.tolist() for p in model.parameters()])
        state = [s["exp_avg"].tolist() for s in optimizer.state.values()]
        scaler.scale(model(facade.full((8, 1, 6, 6), float("nan"))).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert [p.tolist() for p in model.parameters()] == before
        assert [s["exp_avg"].tolist() for s in optimizer.state.values()] == state
        assert scaler.get_scale() == 2.0**15

    @pytest.mark.programs
    @pytest.mark.parametrize("name", ["SGD", "AdamW"])
    def test_one_program_per_step(self, name):
        """Nothing is compiled after the second step, whether it overflows or not."""
        model = network(facade)
        optimizer = OPTIMIZERS[name](facade, model.parameters())
        scaler = facade.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
        inputs = [facade.randn(8, 1, 6, 6) for _ in range(6)]
        inputs[4] = inputs[4] * float("nan")
        target = facade.arange(8) % 3
        for x in (*inputs, target):
            x.tolist()
        counts = []
        for x in inputs:
            with compilations() as count:
                optimizer.zero_grad()
                with facade.autocast("cpu"):
                    loss = facade.nn.functional.cross_entropy(model(x), target)
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
            counts.append(count[0])
        assert counts[2:] == [0, 0, 0, 0], counts
        assert max(counts) == 1, counts
        assert scaler.get_scale() == 16.0  # grown twice, halved once

    def test_unscaled_gradients_can_be_clipped(self):
        def code(torch):
            torch.manual_seed(0)
            model = torch.nn.Linear(3, 2)
            optimizer = torch.optim.SGD(model.parameters(), 0.5)
            scaler = torch.amp.GradScaler("cpu")
            with torch.autocast("cpu"):
                loss = model(torch.ones(4, 3)).float().square().sum()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            scaler.step(optimizer)
            scaler.update()
            return norm, [p.detach() for p in model.parameters()]

        assert_same(code(facade), code(torch), TOLERANCE)

    def test_an_optimizer_of_the_users_own(self):
        def code(torch):
            class Plain(torch.optim.Optimizer):
                calls = 0

                def step(self):
                    self.calls += 1
                    with torch.no_grad():
                        for p in self.param_groups[0]["params"]:
                            p.sub_(p.grad)
                    return "done"

            w = torch.ones(3, requires_grad=True)
            optimizer, scaler = Plain([w], {}), torch.amp.GradScaler("cpu", 4.0)
            results = []
            for factor in (1.0, float("inf"), 2.0):
                w.grad = None
                scaler.scale((w * factor).sum()).backward()
                results.append(scaler.step(optimizer))
                scaler.update()
            return results, optimizer.calls, w, scaler.get_scale()

        both(code)

    def test_saved_and_loaded(self):
        def code(torch):
            w = torch.ones(3, requires_grad=True)
            optimizer = torch.optim.Adam([w])
            scaler = torch.amp.GradScaler("cpu", 4.0, growth_interval=2)
            for _ in range(3):
                scaler.scale(w.sum()).backward()
                scaler.step(optimizer)
                scaler.update()
            again, fresh = pickle.loads(pickle.dumps(scaler)), torch.amp.GradScaler("cpu")
            fresh.load_state_dict(scaler.state_dict())
            scaler.load_state_dict(torch.amp.GradScaler("cpu").state_dict())
            other = torch.optim.Adam([w])
            other.load_state_dict(optimizer.state_dict())
            other.step()
            states = [s.state_dict() for s in (again, fresh, scaler)]
            return states, w, other.state[w]["step"]

        both(code)

    @pytest.mark.parametrize(
        "code",
        [
            "scaler.step(optimizer)",
            "scaler.update()",
            "scaler.unscale_(optimizer)",
            "scaler.scale(3)",
            "scaler.scale([w, (w,)])",
            "list(scaler.scale(map(abs, [w])))",
            "scaler.scale(w).sum().backward(), scaler.unscale_(optimizer), "
            "scaler.unscale_(optimizer)",
            "scaler.scale(w).sum().backward(), scaler.step(optimizer), scaler.step(optimizer)",
            "scaler.scale(w).sum().backward(), scaler.step(optimizer), scaler.unscale_(optimizer)",
            "scaler.scale(w), scaler.step(optimizer)",
            "scaler.scale(w), scaler.update()",
            "scaler.scale(w), scaler.update(3.0), scaler.get_scale()",
            "scaler.scale(w), scaler.update(torch.tensor(5.0)), scaler.get_scale()",
            "scaler.scale(w), scaler.update(torch.ones(2))",
            "scaler.load_state_dict({})",
            "scaler.step(optimizer, closure=3)",
            "scaler.state_dict(), scaler.is_enabled(), scaler.get_growth_interval()",
            "off.scale(w) is w, off.state_dict(), off.get_scale(), off.update()",
            "off.step(optimizer), off.unscale_(optimizer), off.load_state_dict({})",
            "scaler.scale(w.half()).sum().backward(), scaler.step(optimizer)",
            "setattr(w, 'grad', None), scaler.scale(h).sum().backward(), scaler.step(narrow)",
        ],
    )
    def test_words(self, code):
        def run(torch):
            w = torch.ones(2, requires_grad=True)
            h = torch.ones(2).half().requires_grad_()
            scope = {
                "torch": torch, "w": w, "h": h, "optimizer": torch.optim.SGD([w], 0.1),
                "narrow": torch.optim.SGD([h], 0.1), "scaler": torch.amp.GradScaler("cpu", 8.0),
                "off": torch.amp.GradScaler("cpu", enabled=False),
            }  # fmt: skip
            return eval(code, scope)

        both(run)


def test_a_function_of_the_users_own_under_autocast():
    def code(torch, **options):
        class Product(torch.autograd.Function):
            @staticmethod
            @torch.amp.custom_fwd(device_type="cpu", **options)
            def forward(ctx, a, b):
                ctx.save_for_backward(a, b)
                return a @ b

            @staticmethod
            @torch.amp.custom_bwd(device_type="cpu")
            def backward(ctx, g):
                a, b = ctx.saved_tensors
                return g @ b.T, a.T @ g

        a, b = torch.ones(2, 3, requires_grad=True), torch.ones(3, 2, requires_grad=True)
        with torch.autocast("cpu"):
            y = Product.apply(a, b * 1)
        y.sum().backward()
        return y.detach(), a.grad, b.grad

    both(code)
    both(lambda torch: code(torch, cast_inputs=torch.float32))
