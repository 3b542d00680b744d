"""Devices: the default for new tensors, tensors without values, the marks of shared memory."""

import pytest
from expressions import check, groups
from parity import both


def made(torch):
    """Return where each kind of creation puts its tensor."""
    tensors = [
        torch.zeros(2), torch.tensor([1]), torch.arange(3), torch.rand(2), torch.eye(2),
        torch.as_tensor([1]), torch.full((2,), 1.0), torch.randperm(3), torch.tril_indices(2, 2),
        torch.hann_window(3), torch.nn.Linear(2, 3).weight, torch.zeros(2).new_zeros(3),
        torch.from_numpy(torch.zeros(2, device="cpu").numpy()), torch.Tensor(2),
        torch.as_tensor(torch.zeros(1, device="cpu")), torch.asarray(torch.zeros(1, device="cpu")),
        torch.zeros_like(torch.zeros(2, device="cpu")),
    ]  # fmt: skip
    return [t.device for t in tensors] + [torch.get_default_device()]


def test_device_as_a_context():
    def nested(torch):
        with torch.device("meta") as d:
            inside = made(torch)
            with torch.device("cpu"):
                inner = torch.zeros(2).device
            after = torch.zeros(2).device
        return d, inside, inner, after, torch.zeros(2).device

    def left_by_an_error(torch):
        with pytest.raises(ZeroDivisionError), torch.device("meta"):
            1 / 0  # noqa: B018
        return torch.zeros(2).device

    both(nested)
    both(left_by_an_error)


def test_default_device():
    def chosen(torch):
        torch.set_default_device("meta")
        try:
            return made(torch)
        finally:
            torch.set_default_device(None)

    def chosen_inside_a_block(torch):
        found = []
        with torch.device("meta"):
            torch.set_default_device("cpu")
            found.append(torch.zeros(2).device)
            torch.set_default_device(None)
            found.append(torch.zeros(2).device)
        return [*found, torch.zeros(2).device]

    def absent(torch):
        torch.set_default_device("cuda")  # raises where it is used
        try:
            return torch.zeros(2)
        finally:
            torch.set_default_device(None)

    both(chosen)
    both(chosen_inside_a_block)
    both(absent)


META = """
    t = torch.zeros((), device="meta"); t.item()
    t = torch.zeros(2, 3, device="meta"); t.item()
    t = torch.zeros(2, 3, device="meta"); t.tolist()
    t = torch.zeros(2, 3, device="meta"); t.numpy()
    t = torch.zeros(2, 3, device="meta"); np.asarray(t)
    t = torch.zeros((), device="meta"); bool(t)
    t = torch.zeros(2, device="meta"); bool(t)
    t = torch.zeros((), device="meta"); float(t)
    t = torch.zeros((), device="meta"); int(t)
    t = torch.zeros((), device="meta", dtype=torch.int64); [0, 1][t]
    t = torch.zeros(2, device="meta"); 1 in t
    t = torch.zeros(2, 3, device="meta"); repr(t)
    t = torch.zeros(2, 3, device="meta", requires_grad=True); repr(t * 2)
    t = torch.zeros((), device="meta"); f"{t}"
    t = torch.zeros(2, 3, device="meta"); t.cpu()
    t = torch.zeros(2, 3, device="meta"); t.to("cpu")
    t = torch.zeros(2, 3, device="meta"); torch.zeros(2, 3).copy_(t)
    t = torch.zeros(2, 3, device="meta").copy_(torch.zeros(2, 3)); (t.device, t.shape)
    t = torch.zeros(2, 3).t().to("meta"); (t.device, t.shape, t.stride())
    t = torch.zeros(2, device="meta"); torch.allclose(t, t)
    torch.nn.Linear(2, 3, device="meta").to("cpu")
    torch.nn.Linear(2, 3, device="meta").to_empty(device="cpu").weight.shape
    m = torch.nn.Linear(2, 3, device="meta"); m(torch.zeros(1, 2, device="meta")).shape
    t = torch.zeros(2, device="meta", requires_grad=True); (t * 2).sum().backward(); t.grad.device
"""


def test_tensors_without_values():
    for group in groups(META):
        check(group)


SHARED = """
    t = torch.zeros(3); t.is_shared()
    t = torch.zeros(3); (t.share_memory_() is t, t.is_shared(), t[1:].is_shared())
    t = torch.zeros(3).share_memory_(); (t.clone().is_shared(), t.detach().is_shared())
    torch.zeros(2, device="meta").is_shared()
    torch.zeros(2, device="meta").share_memory_()
    m = torch.nn.BatchNorm1d(2).share_memory(); [p.is_shared() for p in m.state_dict().values()]
    m = torch.nn.Linear(2, 3); m.weight.is_shared()
    torch.zeros(3).is_pinned()
    (torch.zeros(2).get_device(), torch.get_device(torch.zeros(2)))
"""


def test_marks_of_shared_memory():
    for group in groups(SHARED):
        check(group)
