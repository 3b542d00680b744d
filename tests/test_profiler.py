"""The profiler: actions by schedule, times in the model's own names, no cost where it is off."""

import gzip
import itertools
import json
import re
import warnings

import pytest
import torch
from torch.autograd import profiler_util as util

import facade
from facade import nn, profiler, program
from facade.autograd.profiler import labels_of
from facade.nn import module_hooks
from facade.profiler.events import EventList, FunctionEvent
from facade.tape import Tape

pytestmark = pytest.mark.programs  # op by op there are no names to be found


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 128), nn.ReLU())
        self.head = nn.Linear(128, 4)

    def forward(self, x):
        return self.head(self.body(x))


class Training:
    """A model with its training step."""

    def __init__(self):
        self.model = Net()
        self.optimizer = facade.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.x = facade.randn(32, 64)
        self.y = facade.zeros(32, dtype=facade.int64)

    def step(self):
        self.optimizer.zero_grad()
        with profiler.record_function("forward"):
            loss = nn.functional.cross_entropy(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss


@pytest.fixture(scope="module")
def training():
    found = Training()
    for _ in range(3):
        found.step()
    return found


@pytest.fixture(scope="module")
def profile(training):
    """A finished profile of three steps."""
    with profiler.profile(record_shapes=True, with_stack=True) as prof:
        for _ in range(3):
            training.step()
    return prof


# ---- schedules ----

PARAMETERS = ("wait", "warmup", "active", "repeat", "skip_first", "skip_first_wait")
ARGUMENTS = [
    dict(zip(PARAMETERS, v, strict=True))
    for v in itertools.product((0, 2), (0, 1), (1, 3), (0, 2), (0, 3), (0, 1))
]  # fmt: skip


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=lambda a: "-".join(map(str, a.values())))
@pytest.mark.filterwarnings("ignore:Profiler won't be using warmup")
def test_schedule(arguments):
    ours, theirs = profiler.schedule(**arguments), torch.profiler.schedule(**arguments)
    assert [ours(i).name for i in range(30)] == [theirs(i).name for i in range(30)]


@pytest.mark.parametrize("wrong", ["wait", "warmup", "active", "repeat", "skip_first"])
def test_schedule_refuses(wrong):
    arguments = {"wait": 1, "warmup": 1, "active": 1} | {wrong: -1}
    with pytest.raises(AssertionError) as theirs:
        torch.profiler.schedule(**arguments)
    with pytest.raises(AssertionError, match=re.escape(str(theirs.value))):
        profiler.schedule(**arguments)


class Calls:
    """A profiler of either library that notes what it would do."""

    def __init__(self, lib, actions):
        self.made = []
        named = [getattr(lib.ProfilerAction, name) for name in actions]
        self.profiler = lib.profile(
            schedule=lambda step: named[step], on_trace_ready=lambda _: self.made.append("ready")
        )
        for name in ("start_trace", "stop_trace"):
            self.replace(name)

    def replace(self, name):
        def call():
            self.made.append(name)
            if name == "start_trace":
                self.profiler._session = object()
            else:
                self.profiler._session = None

        setattr(self.profiler, name, call)
        setattr(self.profiler, "prepare_trace", lambda: None)  # noqa: B010
        for actions in getattr(self.profiler, "action_map", {}).values():
            for i, action in enumerate(actions):
                if getattr(action, "__name__", "") == name:
                    actions[i] = call
                if getattr(action, "__name__", "") == "prepare_trace":
                    actions[i] = self.profiler.prepare_trace

    def run(self, steps):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.profiler.start()
            for _ in range(steps):
                self.profiler.step()
            self.profiler.stop()
        return self.made, [str(w.message) for w in caught]


NAMES = ["NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE"]


@pytest.mark.parametrize("actions", list(itertools.product(NAMES, repeat=3)), ids="-".join)
def test_actions(actions):
    theirs = Calls(torch.profiler, actions).run(2)
    assert Calls(profiler, actions).run(2) == theirs


# ---- what is recorded ----


def test_modules_and_optimizer_are_named(profile):
    keys = {event.key for event in profile.key_averages()}
    modules = {"Net", "body", "body.0", "head"}
    assert modules <= keys
    assert {f"{name} backward" for name in ("Net", "body", "body.0", "head")} <= keys
    assert "Optimizer.step#SGD.step" in keys


def test_ops_have_pytorchs_names_and_lie_in_their_modules(profile):
    inside = {(e.name, e.args.get("module")) for e in profile.events() if "hlo_op" in e.args}
    assert ("aten::linear", "body.0") in inside
    assert ("aten::linear", "head") in inside
    assert ("AddmmBackward0", "body.0 backward") in inside
    assert "body.0 backward" not in {m for name, m in inside if name.startswith("aten::")}


def test_most_time_is_led_back_to_instructions(profile):
    ops = [e for e in profile.events() if "hlo_op" in e.args]
    known = sum(e.self_cpu_time_total for e in ops if e.args["path"])
    assert known > 0.8 * sum(e.self_cpu_time_total for e in ops)


def test_blocks_are_on_the_host_and_around_their_ops(profile):
    averages = {event.key: event for event in profile.key_averages()}
    assert averages["forward"].count == 3
    assert averages["forward (ops)"].count == 3
    assert averages["forward (ops)"].cpu_time_total >= averages["head"].cpu_time_total > 0


def test_calls_are_counted_once_a_run(profile):
    averages = {event.key: event for event in profile.key_averages()}
    assert averages["aten::linear"].count == 6
    assert averages["head"].count == averages["Optimizer.step#SGD.step"].count == 3


def test_times_add_up(profile):
    for event in profile.events():
        assert -1e-6 <= event.self_cpu_time_total <= event.cpu_time_total
        for child in event.cpu_children:
            assert event.time_range.start <= child.time_range.start
            assert child.time_range.end <= event.time_range.end
    averages = {event.key: event for event in profile.key_averages()}
    modules = [averages[name].cpu_time_total for name in ("body.0", "body.1", "head")]
    assert 0 < sum(modules) <= averages["Net"].cpu_time_total + 1e-6


def test_shapes(profile):
    shapes = {
        e.args["module"]: e.input_shapes for e in profile.events() if e.name == "aten::linear"
    }
    assert shapes == {"body.0": [[32, 64], [128, 64], [128]], "head": [[32, 128], [4, 128], [4]]}
    grouped = profile.key_averages(group_by_input_shape=True)
    assert len([e for e in grouped if e.key == "aten::linear"]) == 2


def test_a_model_used_twice_is_named_by_its_caller():
    net = nn.Linear(16, 16)
    outer = nn.Sequential(net, nn.Tanh(), net)
    x = facade.randn(8, 16)
    for _ in range(4):
        outer(x).tolist()
    with profiler.profile() as prof:
        outer(x).tolist()
        net(x).tolist()
    keys = {e.key for e in prof.key_averages()}
    assert {"Sequential", "0"} <= keys


def test_a_decorator_labels_every_call():
    @profiler.record_function("work")
    def double(x):
        return (x * 2).tolist()

    with profiler.profile() as prof:
        for _ in range(3):
            double(facade.ones(3))
    assert {e.key: e.count for e in prof.key_averages()}["work"] == 3


def watch_of(prof):
    assert prof._watch is not None
    return prof._watch


def test_labels_of_instructions():
    seen = []
    net = nn.Linear(4, 4)
    x = facade.ones(2, 4)
    x.tolist()
    net.weight.tolist()
    with profiler.profile() as prof:
        noted = watch_of(prof).ran
        program.observer = lambda tape, runner: (seen.append(labels_of(tape)), noted(tape, runner))
        with profiler.record_function("outer"):
            loss = net(x + 1).sum()
        loss.backward()
        _ = [p.grad.tolist() for p in net.parameters() if p.grad is not None]
    names = [[label.name for label in labels] for labels in seen[-1]]
    assert names[:3] == [["outer"], ["outer", "Linear"], ["outer"]]
    assert ["Linear backward"] in names[3:]


def test_a_module_that_raises_is_left():
    class Fails(nn.Module):
        def forward(self, x):
            raise KeyError("no")

    with profiler.profile() as prof:
        with pytest.raises(KeyError):
            Fails()(facade.ones(1))
        nn.Tanh()(facade.ones(1)).tolist()
        assert watch_of(prof)._calls == []


# ---- what it is shown as ----


def read_gz(path):
    with gzip.open(path) as file:
        return json.loads(file.read())


def test_chrome_trace(profile, tmp_path):
    profile.add_metadata("model", "small")
    for name in ("a.json", "b.json.gz"):
        profile.export_chrome_trace(str(tmp_path / name))
    trace = json.loads((tmp_path / "a.json").read_text())
    assert trace["traceName"] == str(tmp_path / "a.json")
    assert trace["model"] == "small"
    assert read_gz(tmp_path / "b.json.gz")["traceEvents"] == trace["traceEvents"]
    names = {event["name"] for event in trace["traceEvents"]}
    assert {"body.0", "body.0 backward", "forward", "aten::linear", "AddmmBackward0"} <= names
    assert all(event["dur"] >= 0 for event in trace["traceEvents"])


def test_stacks(profile, tmp_path):
    profile.export_stacks(str(tmp_path / "stacks.txt"))
    lines = (tmp_path / "stacks.txt").read_text().splitlines()
    assert any(line.startswith("forward;Net;body;body.0 ") for line in lines)


def test_python_functions_are_recorded_with_stack(profile):
    assert any("test_profiler.py" in e.name and "step" in e.name for e in profile.events())


def test_table_sorts_and_stops(profile):
    lines = profile.key_averages().table(sort_by="cpu_time_total", row_limit=5).splitlines()
    assert len(lines) == 3 + 5 + 2
    assert lines[-1].startswith("Self CPU time total: ")
    totals = [event.cpu_time_total for event in profile.key_averages()]
    assert max(totals) > min(totals)
    shares = [float(re.findall(r"([\d.]+)%", line)[1]) for line in lines[3:-2]]
    assert shares == sorted(shares, reverse=True)


# name, thread, start, end
EVENTS = [
    ("step", 1, 0.0, 5000.0),
    ("aten::linear", 1, 10.0, 1250.5),
    ("aten::addmm", 1, 20.0, 1000.0),
    ("aten::addmm", 2, 20.0, 2_500_000.0),
    ("a name that is longer than any column of the table may be", 2, 0.25, 1.0),
]


@pytest.mark.parametrize("options", [
    {}, {"sort_by": "count"}, {"sort_by": "self_cpu_time_total", "row_limit": 2},
    {"sort_by": "cpu_time_total", "row_limit": -1}, {"header": "Title"}, {"time_unit": "ms"},
    {"sort_by": "cpu_time", "max_name_column_width": 20}, {"sort_by": "self_cuda_time_total"},
], ids=str)  # fmt: skip
def test_table_is_pytorchs(options):
    ours = EventList([FunctionEvent(i, *event) for i, event in enumerate(EVENTS)])
    ours.build_tree()
    theirs = util.EventList([
        util.FunctionEvent(i, *event, stack=[], input_shapes=[]) for i, event in enumerate(EVENTS)
    ])  # fmt: skip
    theirs._build_tree()
    theirs._tree_built = True
    for event in theirs:
        event.overload_name, event.flops = "", 0
    assert ours.key_averages().table(**options) == theirs.key_averages().table(**options)
    assert str(ours.total_average()) == str(theirs.total_average())


REFUSED = [
    lambda p: p.profile().key_averages(),
    lambda p: p.profile().events(),
    lambda p: p.profile().export_chrome_trace("nowhere"),
    lambda p: p.profile().stop(),
    lambda p: p.profile(activities=[]),
    lambda p: p.profile(activities=[p.ProfilerActivity.CPU] * 2),
    lambda p: p.profile(schedule=lambda step: p.ProfilerAction.DEVICE_STOPPED),
]


@pytest.mark.parametrize("expression", REFUSED)
def test_errors(expression):
    with pytest.raises(Exception) as theirs:
        expression(torch.profiler)
    with pytest.raises(type(theirs.value), match=re.escape(str(theirs.value))):
        expression(profiler)


def test_tensorboard_handler_and_steps(training, tmp_path):
    ready = profiler.tensorboard_trace_handler(str(tmp_path / "log"), "me", use_gzip=True)
    schedule = profiler.schedule(wait=1, warmup=1, active=2, repeat=2)
    with profiler.profile(schedule=schedule, on_trace_ready=ready) as prof:
        for _ in range(9):
            training.step()
            prof.step()
    files = sorted((tmp_path / "log").iterdir())
    assert len(files) == 2
    assert all(re.fullmatch(r"me\.\d+\.pt\.trace\.json\.gz", file.name) for file in files)
    names = [e["name"] for e in read_gz(files[1])["traceEvents"]]
    assert {"ProfilerStep#6", "ProfilerStep#7", "head"} <= set(names)
    assert "ProfilerStep#5" not in names
    assert {e.key: e.count for e in prof.key_averages()}["head"] == 2


# ---- what it costs ----


def test_nothing_is_compiled_for_it(training):
    before = program.program_count()
    with profiler.profile():
        for _ in range(2):
            training.step()
    for _ in range(2):
        training.step()
    assert program.program_count() == before


def test_nothing_is_left_when_it_is_off(training):
    with profiler.profile():
        training.step()
    assert program.observer is None
    assert not module_hooks._global_forward_hooks
    assert not module_hooks._global_forward_pre_hooks
    assert "scopes" not in Tape.__slots__
    labels = facade.autograd.profiler
    with profiler.record_function("off"):
        _ = facade.ones(2) + 1
    assert not labels._changes
    assert labels.open_labels() == ()


def test_a_second_profiler_is_refused(training):
    with profiler.profile() as prof:
        with pytest.raises(RuntimeError):
            profiler.profile().start()
        training.step()
    assert any(e.key == "head" for e in prof.key_averages())
