"""Random permutations."""

import numpy as np

from .engine import locked

# From this size on one word is too coarse to choose an element, and PyTorch changes the method.
_INSIDE_OUT = (2**32 - 1) // 20


@locked
def permutation(engine, n):
    """A random order of ``0..n-1``, as ``torch.randperm(n)``: int64."""
    if n >= _INSIDE_OUT:
        return _inside_out(engine, n)
    if n < 2:
        return np.arange(n)
    steps = np.arange(n - 1, dtype=np.uint32)
    targets = steps + engine.words(n - 1) % (np.uint32(n) - steps)
    return _swapped(np.append(targets, np.uint32(n - 1)).astype(np.int32))


def _swapped(targets):
    """``0..n-1`` after swapping elements ``i`` and ``targets[i]``, for each ``i`` in turn.

    No target lies before its step, so step ``i`` settles element ``i``, and moves what stood at
    ``i`` to its target. What stood at a place is therefore what the last step with that target
    brought there, that is, what stood at the step's own place before: a chain of links from place
    to earlier place. Following all chains at once replaces the loop over the steps.
    """
    n = len(targets)
    step = _stable_order(targets)
    target = targets.take(step)

    # stood[i]: the number at i just before step i, at first as the place it was brought from
    stood = np.arange(n, dtype=np.int32)
    moving = step < target
    source, place = step[moving], target[moving]
    last = np.flatnonzero(np.append(place[1:] != place[:-1], True)[: len(place)])
    stood[place.take(last)] = source.take(last)
    while not np.array_equal(further := stood.take(stood), stood):
        stood = further

    # element i is what the step before i with the same target left there, else never moved
    again = np.flatnonzero(target[1:] == target[:-1])
    targets[step.take(again + 1)] = stood.take(step.take(again))
    return targets.astype(np.int64)


def _stable_order(numbers):
    """``argsort`` of int32 in two passes of 16 bits, for which numpy has a radix sort."""
    order = np.argsort(numbers.astype(np.uint16), kind="stable").astype(np.int32)
    if len(numbers) > 2**16:
        high = (numbers.take(order) >> 16).astype(np.uint16)
        order = order.take(np.argsort(high, kind="stable"))
    return order


def _inside_out(engine, n):
    """The method for very large ``n``: insert each number at a random place among the earlier."""
    out = np.empty(n, np.int64)
    cells = out.data  # quicker than numpy, one element at a time
    for start in range(0, n, 2**16):
        numbers = np.arange(start, min(start + 2**16, n), dtype=np.uint64)
        places = engine.words64(len(numbers)) % (numbers + np.uint64(1))
        for number, place in zip(numbers.tolist(), places.tolist(), strict=True):
            cells[number] = cells[place]
            cells[place] = number
    return out
