"""PyTorch's ``torch.nn.utils``: public names only."""

from facade.nn.utils import rnn as rnn
