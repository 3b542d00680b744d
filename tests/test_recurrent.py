"""Recurrent layers, cells and packed sequences, under PyTorch and facade."""

import pytest
import torch
from parity import assert_same as assert_alike
from scenarios import assert_same, evaluate, expressions
from tables import same

import facade


def weighted(parts):
    """Return a sum in which every element counts differently."""
    total = torch.zeros(()) if isinstance(parts[0], torch.Tensor) else facade.zeros(())
    for part in parts:
        lib = torch if isinstance(part, torch.Tensor) else facade
        weights = lib.arange(1, part.numel() + 1, dtype=part.dtype).reshape(part.shape)
        total = total + (part * weights).sum() / part.numel()
    return total


def flat(*values):
    """Return the tensors in nested tuples, packed sequences among them."""
    found = []
    for value in values:
        found += flat(*value) if isinstance(value, tuple) else [value]
    return [v for v in found if v is not None]


# ---- layers ----


@pytest.mark.parametrize(
    ("source", "lengths", "state"),
    [
        ("LSTM(3, 4)", None, False),
        ("LSTM(3, 4, 2, bidirectional=True)", None, True),
        ("LSTM(3, 4, proj_size=2, bidirectional=True)", [3, 5], True),
        ("LSTM(3, 4, 2, dropout=0.5, bias=False)", [5, 2], False),
        ("GRU(3, 4, bias=False)", None, False),
        ("GRU(3, 4, 2, bidirectional=True)", [3, 5], True),
        ("GRU(3, 4, 2, dropout=0.5)", None, True),
        ("RNN(3, 4)", None, True),
        ("RNN(3, 4, 1, 'relu', bidirectional=True)", [3, 5], False),
    ],
)
def test_layers_give_pytorchs_numbers_and_gradients(source, lengths, state):
    def run(lib):
        rnn = lib.nn.utils.rnn
        layer = eval(f"nn.{source}", {"nn": lib.nn})
        x = lib.randn(5, 2, 3, requires_grad=True)
        count = layer.num_layers * (2 if layer.bidirectional else 1)
        h = lib.randn(count, 2, layer.proj_size or 4, requires_grad=True)
        c = lib.randn(count, 2, 4, requires_grad=True)
        start = ((h, c) if source.startswith("LSTM") else h) if state else None
        taken = x
        if lengths:
            taken = rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        output, end = layer(taken, start)
        ends = flat(end)
        weighted([output.data if lengths else output, *ends]).backward()
        results = output if lengths else [output]
        return [*results, *ends, x.grad, h.grad, c.grad, *(p.grad for p in layer.parameters())]

    results = []
    for lib in (facade, torch):
        lib.manual_seed(0)
        results.append([t for t in run(lib) if t is not None])
    assert_alike(*results, tolerance=(1e-4, 1e-5))


def test_batch_first_and_unbatched_input():
    def scenario(torch):
        layer = torch.nn.GRU(3, 4, batch_first=True)
        x, h = torch.arange(30.0).view(2, 5, 3) / 30, torch.ones(1, 2, 4) / 2
        alone = layer(x[0], h[:, 0])
        together = layer(x, h)
        lstm = torch.nn.LSTM(3, 4)
        shapes = [t.shape for t in flat(alone, together, lstm(x[0]))]
        return shapes, [(a - b[0]).abs().max() < 1e-6 for a, b in [(alone[0], together[0])]]

    assert_same(scenario)


def test_one_step_cells():
    def scenario(torch):
        nn, results = torch.nn, []
        x = torch.randn(2, 3, requires_grad=True)
        cells = nn.RNNCell(3, 4), nn.RNNCell(3, 4, True, "relu"), nn.GRUCell(3, 4)
        for cell in cells:
            h = cell(x)
            h = cell(x, h)
            results += [h, cell(x[0])]
        cell = nn.LSTMCell(3, 4)
        results += [*cell(x, cell(x)), *cell(x[0], tuple(t[0] for t in cell(x)))]
        weighted(results).backward()
        return [*results, x.grad, *(p.grad for p in cell.parameters())]

    same(scenario)


def test_a_cell_without_bias_and_double():
    def scenario(torch):
        x = torch.randn(2, 3, dtype=torch.float64)
        gru, lstm = (
            cell(3, 4, bias=False, dtype=torch.float64)
            for cell in (torch.nn.GRUCell, torch.nn.LSTMCell)
        )
        rnn = torch.nn.RNN(3, 4, dtype=torch.float64)
        return [gru(x), *lstm(x), *rnn(x[None])]

    torch.manual_seed(0)
    facade.manual_seed(0)
    same(scenario)


@pytest.mark.parametrize("source", ["LSTM(2, 3)", "GRU(2, 3)", "RNN(2, 3)"])
def test_second_derivatives(source):
    """The gradient of a gradient's norm, with respect to the input and a weight."""

    def run(lib):
        lib.manual_seed(0)
        layer = eval(f"nn.{source}", {"nn": lib.nn}).double()
        x = lib.randn(4, 2, 2, dtype=lib.float64, requires_grad=True)
        output, _ = layer(x)
        (first,) = lib.autograd.grad(output.pow(2).sum(), x, create_graph=True)
        found = lib.autograd.grad(first.pow(2).sum(), [x, layer.weight_hh_l0])
        return [t.detach().numpy() for t in found]

    for ours, theirs in zip(run(facade), run(torch), strict=True):
        torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs))


def test_frozen_recurrent_weights_get_no_gradient():
    def scenario(torch):
        layer = torch.nn.LSTM(2, 3)
        layer.weight_hh_l0.requires_grad_(False)
        x = torch.ones(4, 1, 2)
        layer(x)[0].sum().backward()
        return layer.weight_hh_l0.grad is None, layer.weight_ih_l0.grad

    facade.manual_seed(0)
    torch.manual_seed(0)
    same(scenario)


def test_training_step_is_one_program():
    from counting import compilations

    layer = facade.nn.LSTM(3, 4)
    optimizer = facade.optim.SGD(layer.parameters(), lr=0.1)

    def step():
        optimizer.zero_grad()
        layer(facade.ones(5, 2, 3))[0].sum().backward()
        optimizer.step()

    step()
    step()
    with compilations() as seen:
        step()
    assert seen == [0]


# ---- constructors and errors ----


@expressions("""
nn.LSTM(3, 4)
nn.LSTM(3, 4, 2, False, True, 0.5, True, 2)
nn.LSTM(input_size=3, hidden_size=4, num_layers=2, bidirectional=True)
nn.GRU(3, 4, bias=False)
nn.GRU(3, 4, dropout=0.5)
nn.RNN(3, 4)
nn.RNN(3, 4, 2, 'relu')
nn.RNN(3, 4, nonlinearity='relu', batch_first=True)
nn.RNNCell(3, 4)
nn.RNNCell(3, 4, False, 'relu')
nn.LSTMCell(3, 4)
nn.GRUCell(3, 4, bias=False)
""")
def test_layers_print_keep_and_initialize_alike(source):
    def scenario(lib):
        module = evaluate(source)(lib)
        settings = {k: v for k, v in vars(module).items() if k[0] != "_" and k != "training"}
        return repr(module), module.state_dict(), settings

    assert_same(scenario)


@expressions("""
nn.LSTM(3, 4, dropout=2)
nn.LSTM(3, 4, dropout='a')
nn.LSTM(3, 4, dropout=True)
nn.LSTM(3, 4, bias=1)
nn.LSTM(3, 4, batch_first=1)
nn.LSTM(3., 4)
nn.LSTM(0, 4)
nn.LSTM(3, '4')
nn.LSTM(3, -4)
nn.LSTM(3, 4, 0)
nn.LSTM(3, 4, proj_size=-1)
nn.LSTM(3, 4, proj_size=4)
nn.LSTM(3, 4, nothing=1)
nn.GRU(3, 4, proj_size=1)
nn.RNN(3, 4, proj_size=1)
nn.RNN(3, 4, nonlinearity='cos')
nn.RNNBase('LSTN', 3, 4)
nn.LSTM(3, 4)(torch.ones(3))
nn.GRU(3, 4)(torch.ones(3))
nn.RNN(3, 4)(torch.ones(3))
nn.LSTM(3, 4)(torch.ones(5, 2, 4))
nn.LSTM(3, 4)(torch.ones(5, 2, 3).double())
nn.LSTM(3, 4)(torch.ones(0, 2, 3))
nn.GRU(3, 4)(torch.ones(5, 2, 3), torch.ones(1, 4))
nn.GRU(3, 4)(torch.ones(5, 3), torch.ones(1, 2, 4))
nn.GRU(3, 4)(torch.ones(5, 2, 3), torch.ones(1, 3, 4))
nn.LSTM(3, 4)(torch.ones(5, 2, 3), (torch.ones(1, 4), torch.ones(1, 4)))
nn.LSTM(3, 4)(torch.ones(5, 3), (torch.ones(1, 4), torch.ones(1, 1, 4)))
nn.LSTM(3, 4)(torch.ones(5, 2, 3), (torch.ones(1, 2, 4), torch.ones(1, 3, 4)))
nn.LSTM(3, 4)(torch.ones(5, 2, 3), (torch.ones(2, 2, 4), torch.ones(1, 2, 4)))
nn.LSTMCell(3, 4)(torch.ones(2, 5))
nn.LSTMCell(3, 4)(torch.ones(2, 3, 1))
nn.LSTMCell(3, 4)(torch.ones(2, 3), (torch.ones(2, 4), torch.ones(3, 4)))
nn.LSTMCell(3, 4)(torch.ones(2, 3), (torch.ones(2, 4), torch.ones(2, 5)))
nn.LSTMCell(3, 4)(torch.ones(2, 3), (torch.ones(2, 4, 1), torch.ones(2, 5)))
nn.GRUCell(3, 4)(torch.ones(2, 3), torch.ones(3, 4))
nn.GRUCell(3, 4)(torch.ones(2, 3), torch.ones(2, 5))
nn.GRUCell(3, 4)(torch.ones(2, 3).double())
nn.RNNCell(3, 4)(torch.ones(2, 3), torch.ones(2, 5, 1))
nn.RNNCell(3, 4, nonlinearity='cos')(torch.ones(2, 3))
""")
def test_errors_and_warnings(source):
    assert_same(evaluate(source))


def test_settings_that_programs_read():
    def scenario(torch):
        layer = torch.nn.LSTM(3, 4, 2, bidirectional=True)
        layer.flatten_parameters()
        shapes = [[p.shape for p in weights] for weights in layer.all_weights]
        copy = torch.nn.LSTM(3, 4, 2, bidirectional=True)
        copy.load_state_dict(layer.state_dict())
        x = torch.ones(2, 1, 3)
        return shapes, (copy(x)[0] - layer(x)[0]).abs().max() == 0

    assert_same(scenario)


# ---- packed sequences ----


@expressions("""
rnn.pack_padded_sequence(x, [3, 2])
rnn.pack_padded_sequence(x, torch.tensor([2., 1.]))
rnn.pack_padded_sequence(x, torch.tensor([2, 3]), enforce_sorted=False)
rnn.pack_padded_sequence(x, [1, 2, 2], batch_first=True, enforce_sorted=False)
rnn.pack_padded_sequence(x, [2, 3])
rnn.pack_padded_sequence(x, [3, 0])
rnn.pack_padded_sequence(x, [3])
rnn.pack_padded_sequence(x, [3, 2, 1])
rnn.pack_padded_sequence(x, [[3, 2]])
rnn.pack_padded_sequence(x[:0], [1, 1])
rnn.pack_sequence([x[:, 0, 0], x[0, 0]])
rnn.pack_sequence([x[0, 0], x[:, 0, 0]], enforce_sorted=False)
rnn.pack_sequence([x[0, 0], x[:, 0, 0]])
rnn.pack_sequence([])
rnn.pad_packed_sequence(p)
rnn.pad_packed_sequence(p, batch_first=True, padding_value=-1, total_length=5)
rnn.pad_packed_sequence(p, total_length=1)
rnn.pad_packed_sequence(rnn.pack_padded_sequence(x, [3, 2]))
rnn.unpack_sequence(p)
rnn.unpad_sequence(x.detach(), torch.tensor([3, 1]))
rnn.pad_sequence([x[0], x[1:, 0], x[:, 1]])
rnn.pad_sequence([x[0], x[1:, 0], x[:, 1]], True, 2.5, 'left')
rnn.pad_sequence([d[0], d[:, 0]])
rnn.pad_sequence([d[0], d[:, 0]], True, 2.5, 'left')
rnn.pad_sequence([torch.tensor([1]), torch.tensor([2, 3])], padding_value=7)
rnn.pad_sequence([torch.ones(2), torch.ones(3).double()])
rnn.pad_sequence([torch.ones(2).bfloat16(), torch.ones(3).bfloat16()])
rnn.pad_sequence([torch.ones(2, 3), torch.ones(2, 4)])
rnn.pad_sequence([d[:, 0], d[:, 0, :1]])
rnn.pad_sequence([])
rnn.pad_sequence(5)
rnn.pad_sequence([x, 5])
rnn.pad_sequence([x], padding_side='up')
rnn.PackedSequence(x)
rnn.PackedSequence((d, torch.tensor([2, 1])))
rnn.PackedSequence(d, torch.tensor([2, 1]), torch.tensor([1, 0]))
rnn.invert_permutation(torch.tensor([2, 0, 1]))
p.double()
p.to(torch.float16)
p.cpu() is p, p.is_cuda, len(p)
str(p.int().data.dtype)
nn.GRU(2, 3)(rnn.pack_padded_sequence(d, [3, 2]), torch.zeros(1, 3, 3))
nn.GRU(5, 3)(rnn.pack_padded_sequence(d, [3, 2]))
nn.GRU(2, 3)(rnn.pack_padded_sequence(d.double(), [3, 2]))
""")
def test_packing(source):
    def scenario(lib):
        rnn = lib.nn.utils.rnn
        x = lib.arange(12.0).view(3, 2, 2).requires_grad_()
        p = rnn.pack_padded_sequence(x, [2, 3], enforce_sorted=False)
        d = lib.arange(12.0).view(3, 2, 2)
        found = eval(source, {"torch": lib, "nn": lib.nn, "rnn": rnn, "x": x, "p": p, "d": d})
        tensors = [t for t in flat(found) if isinstance(t, lib.Tensor) and t.requires_grad]
        if tensors:
            weighted(tensors).backward()
        return found, x.grad

    assert_same(scenario)


def test_packed_sequences_print_alike():
    def scenario(torch):
        x = torch.arange(6.0).view(3, 2).requires_grad_()
        return repr(torch.nn.utils.rnn.pack_padded_sequence(x, [2, 3], enforce_sorted=False))

    assert_same(scenario)
