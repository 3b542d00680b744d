"""Saving and loading a module's state: the same code under PyTorch and facade."""

import copy

import pytest
from scenarios import assert_same, expressions, net, plain

# ---- saving ----


def test_state_dict_shares_storage_and_fills_destination():
    def scenario(torch):
        m, destination = net(torch), {"first": 1}
        same = m.state_dict(destination=destination) is destination
        state = m.state_dict()
        state["p"].fill_(7)
        return same, list(destination), hasattr(destination, "_metadata"), m.p

    assert_same(scenario)


# ---- loading ----


@pytest.mark.parametrize("options", ({}, {"strict": False}, {"assign": True}), ids=str)
@expressions("""
pass
del s['p']
del s['p'], s['deep.0.weight']
s['extra'] = 1; s['deep.0.more'] = 2; s['deep.9.x'] = 3
s['p'] = torch.ones(5)
s['p'] = torch.ones(5); del s['b']; s['extra'] = 1
s['p'] = [1.0, 2.0]
s['p'] = torch.tensor([3.0, 4.0], dtype=torch.float64)
s['deep.0.num_batches_tracked'] = torch.tensor([9])
del s['deep.0.num_batches_tracked']
del s['deep.0.num_batches_tracked']; s._metadata['deep.0']['version'] = 1
del s['deep.0.num_batches_tracked']; s = dict(s)
s.clear()
s['temporary'] = torch.ones(1)
s['_extra_state'] = 1
""")
def test_loading_a_state_dict(source, options):
    def scenario(torch):
        m, source = net(torch), net(torch)
        with torch.no_grad():
            for p in source.parameters():
                p.fill_(2.0)
        names = {"torch": torch, "s": source.state_dict()}
        exec(source, names)
        return m.load_state_dict(names["s"], **options), m.state_dict(), list(m.parameters())

    assert_same(scenario)


def test_assign_takes_the_tensors_themselves():
    def scenario(torch):
        m, p, b = net(torch), torch.ones(2, dtype=torch.float64), torch.ones(3)
        state = dict(m.state_dict(), p=p, b=b)
        before = m.p
        m.load_state_dict(state, assign=True)
        p.fill_(3)
        return m.p is before, m.b is b, m.p

    assert_same(scenario)


def test_loading_keeps_the_parameters_and_needs_no_grad_mode():
    def scenario(torch):
        m = net(torch)
        before = [id(p) for p in m.parameters()]
        m.load_state_dict(net(torch).state_dict())
        return before == [id(p) for p in m.parameters()], m.p.requires_grad, m.p.is_leaf

    assert_same(scenario)


def test_extra_state():
    def scenario(torch):
        class Counting(torch.nn.Module):
            count = 0

            def get_extra_state(self):
                return {"count": self.count}

            def set_extra_state(self, state):
                self.count = state["count"]

        a, b = (torch.nn.Sequential(Counting()) for _ in range(2))
        a[0].count = 3
        state = a.state_dict()
        result = b.load_state_dict(state), b[0].count, state
        del state["0._extra_state"]
        return result, b.load_state_dict(state, strict=False)

    assert_same(scenario)


def test_state_dict_hooks():
    def scenario(torch):
        log = []
        m = net(torch)
        m.register_state_dict_pre_hook(lambda mod, prefix, keep: log.append(("pre", prefix, keep)))
        m.deep.register_state_dict_pre_hook(lambda mod, prefix, keep: log.append((prefix, keep)))

        def post(module, state, prefix, metadata):
            log.append(("post", type(module).__name__, len(state), prefix, dict(metadata)))
            state["by_hook"] = 1

        handle = m.register_state_dict_post_hook(post)
        log.append(list(m.state_dict(prefix="x.")))
        handle.remove()
        m._register_state_dict_hook(lambda *args: {"replaced": args[2]})
        log.append(m.state_dict())
        return log

    assert_same(scenario)


@pytest.mark.parametrize("public", (True, False))
def test_state_dict_post_hook_must_return_nothing(public):
    def scenario(torch):
        m = torch.nn.Linear(1, 1)

        def hook(*args):
            return {}

        m.register_state_dict_post_hook(hook)
        return m.state_dict() if public else m._register_state_dict_hook(hook)

    assert_same(scenario)


def test_load_state_dict_hooks():
    def scenario(torch):
        log = []
        m = net(torch)

        def pre(state, prefix, metadata, strict, missing, unexpected, errors):
            log.append(("pre", len(state), prefix, metadata, strict))
            state.pop("p", None)

        def pre_with_module(module, state, prefix, *args):
            log.append((type(module).__name__, sorted(state), prefix))

        def post(module, keys):
            log.append((type(module).__name__, plain(keys)))
            keys.missing_keys.clear()

        m._register_load_state_dict_pre_hook(pre)
        m.deep.register_load_state_dict_pre_hook(pre_with_module)
        m.register_load_state_dict_post_hook(post)
        other = copy.deepcopy(m)
        log.append(m.load_state_dict(net(torch).state_dict()))
        log.append(other.load_state_dict(net(torch).state_dict()))
        m.register_load_state_dict_post_hook(lambda *args: 1)
        try:
            m.load_state_dict(m.state_dict())
        except AssertionError as error:
            log.append(str(error))
        return log

    assert_same(scenario)


def test_state_dict_keys_of_a_subclass_that_saves_itself():
    def scenario(torch):
        class Renamed(torch.nn.Linear):
            _version = 5

            def _save_to_state_dict(self, destination, prefix, keep_vars):
                super()._save_to_state_dict(destination, prefix, keep_vars)
                destination[prefix + "w"] = destination.pop(prefix + "weight")

            def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
                assert local_metadata["version"] == 5
                state_dict[prefix + "weight"] = state_dict.pop(prefix + "w")
                super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

        m = torch.nn.Sequential(Renamed(1, 1))
        state = m.state_dict()
        return list(state), state._metadata, m.load_state_dict(state)

    assert_same(scenario)
