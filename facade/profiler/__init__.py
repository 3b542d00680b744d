"""torch.profiler: where time goes."""

from facade.autograd.profiler import record_function as record_function
from facade.profiler.events import DeviceType as DeviceType
from facade.profiler.profile import ProfilerActivity as ProfilerActivity
from facade.profiler.profile import profile as profile
from facade.profiler.profile import supported_activities as supported_activities
from facade.profiler.profile import tensorboard_trace_handler as tensorboard_trace_handler
from facade.profiler.schedule import ProfilerAction as ProfilerAction
from facade.profiler.schedule import schedule as schedule
