"""PyTorch's autograd tutorial, word for word; only the two imports differ.

Run ``python examples/autograd_tutorial.py``.
"""

import facade as torch
from facade.vision.models import resnet18

# ---- one training step of a pretrained network (here with random weights: no download) ----------

model = resnet18()
data = torch.rand(1, 3, 64, 64)
labels = torch.rand(1, 1000)

prediction = model(data)  # forward pass

loss = (prediction - labels).sum()
loss.backward()  # backward pass

optim = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)

optim.step()  # gradient descent

print("loss before the step", f"{loss.item():.3f}")
print("loss after it       ", f"{(model(data) - labels).sum().item():.3f}")

# ---- differentiation in autograd ----------------------------------------------------------------

a = torch.tensor([2.0, 3.0], requires_grad=True)
b = torch.tensor([6.0, 4.0], requires_grad=True)

Q = 3 * a**3 - b**2
print(Q)

external_grad = torch.tensor([1.0, 1.0])
Q.backward(gradient=external_grad)

# check if collected gradients are correct
print(9 * a**2 == a.grad)
print(-2 * b == b.grad)

# ---- exclusion from the graph -------------------------------------------------------------------

x = torch.rand(5, 5)
y = torch.rand(5, 5)
z = torch.rand((5, 5), requires_grad=True)

a = x + y
print(f"Does `a` require gradients?: {a.requires_grad}")
b = x + z
print(f"Does `b` require gradients?: {b.requires_grad}")

# ---- finetuning: freeze the network, train a new classifier -------------------------------------

model = resnet18()

# Freeze all the parameters in the network
for param in model.parameters():
    param.requires_grad = False

model.fc = torch.nn.Linear(512, 10)

# Optimize only the classifier
optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)

before = model.conv1.weight.clone()
torch.nn.functional.cross_entropy(model(data), torch.tensor([3])).backward()
optimizer.step()
print("frozen layers unchanged:", torch.equal(before, model.conv1.weight))
print("trained:", [name for name, p in model.named_parameters() if p.grad is not None])
