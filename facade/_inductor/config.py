"""``torch._inductor.config``: switches that programs set, with PyTorch's defaults."""

from types import SimpleNamespace

from facade.compiler import patch_of

allow_buffer_reuse = True
benchmark_kernel = False
coordinate_descent_tuning = coordinate_descent_check_all_directions = False
debug = False
epilogue_fusion = True
force_fuse_int_mm_with_mul = False
freezing = False
fx_graph_cache = True
max_autotune = max_autotune_gemm = max_autotune_pointwise = False
reorder_for_compute_comm_overlap = False
shape_padding = True
triton = SimpleNamespace(cudagraphs=False, cudagraph_trees=True, unique_kernel_names=True)

patch = patch_of(globals())
