"""Attention layers and transformers, under PyTorch and facade."""

import pytest
import torch
from scenarios import assert_same, evaluate, expressions

import facade

# ---- constructors ----


@expressions("""
nn.MultiheadAttention(4, 2)
nn.MultiheadAttention(4, 2, 0.1, False, True, True, batch_first=True)
nn.MultiheadAttention(4, 2, kdim=3, vdim=5)
nn.TransformerEncoderLayer(4, 2, 8)
nn.TransformerEncoderLayer(4, 2, 8, 0.2, 'gelu', 1e-3, True, True, False)
nn.TransformerEncoderLayer(4, 2, 8, activation=nn.GELU())
nn.TransformerDecoderLayer(4, 2, 8, bias=False)
nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2)
nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 2, nn.LayerNorm(4))
nn.Transformer(4, 2, 2, 1, 8, batch_first=True)
""")
def test_layers_print_keep_and_initialize_alike(source):
    def scenario(lib):
        module = evaluate(source)(lib)
        hidden = ("training", "activation")
        settings = {k: v for k, v in vars(module).items() if k[0] != "_" and k not in hidden}
        return repr(module), module.state_dict(), settings

    assert_same(scenario)


@expressions("""
nn.MultiheadAttention(0, 2)
nn.MultiheadAttention(4, 3)
nn.MultiheadAttention(4, 2)(x, x, x[:3])
nn.MultiheadAttention(4, 2)(x[..., :3], x[..., :3], x[..., :3])
nn.MultiheadAttention(4, 2)(x, x, x, torch.ones(2, 5, dtype=torch.int64))
nn.MultiheadAttention(4, 2)(x, x, x, attn_mask=torch.ones(3, 5))
nn.MultiheadAttention(4, 2)(x, x, x, is_causal=True)
nn.MultiheadAttention(4, 2)(x, x, x, pad.float(), attn_mask=pad[:1] * pad[0, :, None])[1].shape
nn.TransformerEncoderLayer(4, 2, activation='tanh')
nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2), 1).use_nested_tensor
nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, batch_first=True, bias=False), 1).num_layers
nn.TransformerEncoder(nn.TransformerEncoderLayer(3, 3, batch_first=True), 1).num_layers
nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, norm_first=True), 1).num_layers
nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, activation=nn.Tanh(), batch_first=True), 1)
nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2), 1, None, False).use_nested_tensor
nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2), 1, None, False)(x, causal, pad).shape
nn.Transformer(4, 2, 1, 1, 8)(x, x[:, :1])
nn.Transformer(4, 2, 1, 1, 8)(x, x[..., :3])
nn.Transformer.generate_square_subsequent_mask(3)
nn.Transformer.generate_square_subsequent_mask(2, dtype=torch.float64)
""")
def test_errors_and_warnings(source):
    def scenario(lib):
        names = {"x": lib.ones(5, 2, 4), "pad": lib.tensor([[False] * 4 + [True]] * 2)}
        names["causal"] = lib.nn.Transformer.generate_square_subsequent_mask(5)
        return eval(source, names | {"torch": lib, "nn": lib.nn})

    assert_same(scenario)


# ---- forward ----


@expressions("""
nn.MultiheadAttention(4, 2)|layer(x, x, x)
nn.MultiheadAttention(4, 2, batch_first=True)|layer(x, y, y, need_weights=False)
nn.MultiheadAttention(4, 2, add_bias_kv=True, add_zero_attn=True)|layer(x, y[:, :3], y[:, :3])
nn.MultiheadAttention(4, 2, kdim=3, vdim=2, bias=False)|layer(x, y[:, :3, :3], y[:, :3, :2])
nn.MultiheadAttention(4, 2)|layer(x, x, x, pad, attn_mask=causal, average_attn_weights=False)
nn.MultiheadAttention(4, 2)|layer(x[0], x[1], x[1])
nn.MultiheadAttention(4, 4, 0.3)|layer(x, x, x)
nn.TransformerEncoderLayer(4, 2, 8)|layer(x)
nn.TransformerEncoderLayer(4, 2, 8, 0.0, 'gelu', batch_first=True, norm_first=True)|layer(x)
nn.TransformerDecoderLayer(4, 2, 8)|layer(x, y[:, :3], tgt_is_causal=True, tgt_mask=causal)
nn.TransformerDecoderLayer(4, 2, 8, norm_first=True)|layer(x, y[:, :3], memory_key_padding_mask=pad)
nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 2, nn.LayerNorm(4))|layer(x, causal)
nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 1)|layer(x, src_key_padding_mask=pad)
nn.Transformer(4, 2, 1, 1, 8)|layer(x, y[:, :3], tgt_mask=causal, memory_key_padding_mask=pad)
""")
def test_forward_and_gradients(source):
    def run(lib):
        lib.manual_seed(0)
        made, call = source.split("|")
        layer = eval(made, {"nn": lib.nn})
        x, y = lib.randn(4, 3, 4), lib.randn(4, 5, 4)
        names = {"layer": layer, "x": x.requires_grad_(), "y": y.requires_grad_()}
        names["pad"] = lib.tensor([[False] * 4, [False, False, True, True], [False] * 3 + [True]])
        names["causal"] = lib.nn.Transformer.generate_square_subsequent_mask(4)
        if "batch_first" in made:
            names["y"] = lib.randn(4, 2, 4).requires_grad_()
        output = eval(call, names)
        results = [t for t in (output if isinstance(output, tuple) else [output]) if t is not None]
        sum(t.pow(2).sum() for t in results).backward()
        grads = [names["x"].grad, names["y"].grad, *(p.grad for p in layer.parameters())]
        return [t.detach().numpy() for t in results + [g for g in grads if g is not None]]

    for ours, theirs in zip(run(facade), run(torch), strict=True):
        torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("mask_check", [True, False])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_padding_in_evaluation(mask_check, aligned):
    """PyTorch skips padding then, and puts zeros there."""

    def run(lib):
        lib.manual_seed(0)
        layer = lib.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        encoder = lib.nn.TransformerEncoder(layer, 2, mask_check=mask_check).eval()
        x = lib.randn(2, 4, 4)
        padding = [[False] * 4, [False, aligned, aligned or mask_check, not mask_check or aligned]]
        if not aligned:
            padding[1] = [True, False, False, False] if mask_check else [False, False, False, True]
        with lib.no_grad():
            return encoder(x, src_key_padding_mask=lib.tensor(padding)).numpy()

    torch.testing.assert_close(
        torch.tensor(run(facade)), torch.tensor(run(torch)), rtol=1e-4, atol=1e-5
    )


def test_a_deep_copy_shares_nothing():
    layer = facade.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    encoder = facade.nn.TransformerEncoder(layer, 2)
    with facade.no_grad():
        encoder.layers[0].linear1.weight.zero_()
    assert encoder.layers[1].linear1.weight.abs().sum() > 0
    assert layer.linear1.weight.abs().sum() > 0
