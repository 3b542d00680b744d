"""torch.func: transformations of functions. Public names only."""

from facade.func import custom as custom
from facade.func.batching import vmap as vmap
from facade.func.derivatives import grad as grad
from facade.func.derivatives import grad_and_value as grad_and_value
from facade.func.derivatives import hessian as hessian
from facade.func.derivatives import jacfwd as jacfwd
from facade.func.derivatives import jacrev as jacrev
from facade.func.derivatives import jvp as jvp
from facade.func.derivatives import linearize as linearize
from facade.func.derivatives import vjp as vjp
from facade.func.modules import functional_call as functional_call
from facade.func.modules import functionalize as functionalize
from facade.func.modules import replace_all_batch_norm_modules_ as replace_all_batch_norm_modules_
from facade.func.modules import stack_module_state as stack_module_state
