"""An operation with a gradient of one's own: rounding that can be trained through.

Rounding has the gradient zero almost everywhere, so nothing before it would learn. The
straight-through estimator rounds in the forward pass and lets the gradient pass as if it hadn't,
except where the value was clipped. A second Function, a numerically safe log(1 + exp(x)), shows
that such gradients are checked against differences and can be differentiated again.
"""

import facade as torch


class Quantize(torch.autograd.Function):
    """Round to one of ``levels`` values in [-1, 1]."""

    @staticmethod
    def forward(ctx, x, levels):
        ctx.save_for_backward(x)
        steps = (levels - 1) / 2
        return (x.clamp(-1, 1) * steps).round() / steps

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * (x.abs() <= 1), None  # one gradient per argument of forward


class Softplus(torch.autograd.Function):
    """log(1 + exp(x)); here forward and what it saves are apart."""

    @staticmethod
    def forward(x):
        return x.clamp(min=0) + torch.log1p(torch.exp(-x.abs()))

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * torch.sigmoid(x)


def main():
    torch.manual_seed(0)
    x = torch.randn(4, dtype=torch.float64, requires_grad=True)
    print("gradients right:", torch.autograd.gradcheck(Softplus.apply, x))
    print("second gradients right:", torch.autograd.gradgradcheck(Softplus.apply, x))

    inputs = torch.randn(256, 8)
    target = (inputs @ torch.tensor([1.0, -1.0, 0.5, 0.0, 0.0, -0.5, 1.0, 0.0])).unsqueeze(1)
    weight = (0.1 * torch.randn(8, 1)).requires_grad_()
    optimizer = torch.optim.SGD([weight], lr=0.01)
    for step in range(101):
        optimizer.zero_grad()
        prediction = inputs @ Quantize.apply(weight, 5)
        loss = torch.nn.functional.mse_loss(prediction, target)
        loss.backward()
        optimizer.step()
        if step % 25 == 0:
            print(f"step {step:3d}  loss {loss.item():.4f}")
    quantized = Quantize.apply(weight, 5)
    print("weights, five levels each:", (quantized + 0.0).flatten().tolist())  # no -0.0
    print("grad_fn of such a result:", quantized.grad_fn.name())


if __name__ == "__main__":
    main()
