"""torch._higher_order_ops: public names only."""

from facade.func.control_flow import cond as cond
from facade.func.control_flow import scan as scan
from facade.func.control_flow import while_loop as while_loop
