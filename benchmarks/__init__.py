"""Side-by-side benchmarks: facade, hand-written JAX and PyTorch, each in a process of its own."""
