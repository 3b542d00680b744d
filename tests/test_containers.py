"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict under PyTorch and facade."""

import copy

from scenarios import assert_same, expressions


def run(source, make):
    """Check the statements ``source`` about ``c``, the container that ``make`` gives."""

    def scenario(torch):
        nn = torch.nn
        names = {"torch": torch, "nn": nn, "r": None, "copy": copy}
        names["c"] = eval(make, names)
        exec(source, names)
        r = names["r"]
        return list(r) if type(r).__name__ in VIEWS else r, names["c"]

    assert_same(scenario)


VIEWS = {"odict_keys", "dict_keys", "dict_items", "odict_items", "dict_values", "odict_values"}
VIEWS |= {"generator", "dict_keyiterator", "dict_reversekeyiterator"}

ODD = "from collections import OrderedDict; "


@expressions("""
r = len(c), c[0], c[-1], list(c)
r = c[1:], c[::2], type(c[1:]).__name__
c[3]
c[-4]
c['a']
r = c[True]
c[1] = nn.Tanh()
c[-1] = nn.Tanh()
c[7] = nn.Tanh()
c[0] = 3
del c[0]
del c[-1]
del c[5]
del c[:2]
del c[::2]
r = c.append(nn.Tanh()) is c
c.append(3)
r = c.extend([nn.Tanh(), nn.ELU()]) is c
c.extend(3)
c.extend(nn.Sequential(nn.Tanh()))
r = c.insert(1, nn.Tanh()) is c
r = c.insert(-1, nn.Tanh()) is c
c.insert(3, nn.Tanh())
c.insert(9, nn.Tanh())
c.insert(0, 3)
r = c.pop(1)
r = c.pop(-1)
c.pop(5)
r = c + nn.Sequential(nn.Tanh())
c + [nn.Tanh()]
c += nn.Sequential(nn.Tanh(), nn.ELU())
c += [nn.Tanh()]
r = c * 2
r = 2 * c
c * 0
c * 1.5
c *= 2
c *= -1
c *= 'x'
r = c(torch.tensor([-1.0, 2.0]))
r = [k for k in dir(c) if k[0].isdigit()]
c.add_module('last', nn.Tanh()); r = c.last, c[-1]
c.add_module('last', nn.Tanh()); del c[0]
r = c.state_dict(), list(c._modules)
r = copy.deepcopy(c)
""")
def test_sequential(source):
    run(source, "nn.Sequential(nn.ReLU(), nn.Sigmoid(), nn.Identity())")


@expressions(f"""
{ODD}c = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh())); r = c.a, c[1], c[:1]
{ODD}c = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh())); c[0] = nn.ELU()
{ODD}c = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh())); del c[0]
{ODD}c = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh())); c += nn.Sequential(nn.ELU())
{ODD}c = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh())); r = c + c
{ODD}c = nn.Sequential(OrderedDict(a=nn.ReLU())); r = c.extend(c)
c = nn.Sequential({{'a': nn.ReLU()}})
c = nn.Sequential(nn.ReLU(), 3)
c = nn.Sequential([nn.ReLU()])
c = nn.Sequential(); r = len(c)
""")
def test_sequential_construction(source):
    run(source, "None")


@expressions("""
r = len(c), c[0], c[-1], list(c)
r = c[1:], type(c[:0]).__name__
c[3]
c[-4]
c[1.0]
c[1] = nn.Tanh()
c[-1] = nn.Tanh()
c[3] = nn.Tanh()
c[0] = 3
del c[0]
del c[-1]
del c[1:]
del c[3]
r = c.append(nn.Tanh()) is c
c.append('x')
r = c.extend([nn.Tanh(), nn.ELU()]) is c
c.extend(3)
c.extend([3])
c.insert(1, nn.Tanh())
r = c.insert(0, nn.Tanh())
r = c.pop(0)
r = c.pop(-1)
r = c + [nn.Tanh()]
r = type(c + c).__name__
c += [nn.Tanh()]
c += 3
c(torch.ones(1))
r = [k for k in dir(c) if k[0].isdigit()]
r = nn.ReLU() in c, c[0] in c
r = list(c.named_modules())
c = nn.ModuleList(); r = len(c)
c = nn.ModuleList([nn.Linear(1, 1)] * 3)
c = nn.ModuleList(nn.Linear(1, 1) for _ in range(3))
c = nn.ModuleList([nn.Sequential(nn.ReLU(), nn.Tanh()) for _ in range(2)] + [nn.ReLU()])
c = nn.Sequential(c, nn.ModuleList([c, c]))
""")
def test_module_list(source):
    run(source, "nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Sigmoid()])")


@expressions("""
r = len(c), c['a'], list(c), 'a' in c, 'z' in c
c['z']
c['c'] = nn.ELU()
c['a'] = nn.ELU()
c['c'] = 3
c['x.y'] = nn.ELU()
c[3] = nn.ELU()
c['keys'] = nn.ELU()
del c['a']
del c['z']
r = c.pop('a')
c.pop('z')
c.clear()
r = c.keys()
r = c.items()
r = c.values()
c.update({'d': nn.ELU(), 'a': nn.ReLU6() if False else nn.GELU()})
c.update([('d', nn.ELU()), ['e', nn.GELU()]])
c.update(nn.ModuleDict({'q': nn.GELU()}))
c.update(3)
c.update([3])
c.update([('a',)])
c.update([('a', 3)])
r = c.a
r = c.state_dict()
c = nn.ModuleDict([('x', nn.ReLU())])
c = nn.ModuleDict()
c(torch.ones(1))
""")
def test_module_dict(source):
    run(source, "nn.ModuleDict({'b': nn.ReLU(), 'a': nn.Linear(1, 1)})")


@expressions("""
r = len(c), c[0], c[-1], list(c)
r = c[1:], type(c[:1]).__name__
c[4]
c['a']
c[0] = torch.zeros(2)
c[0] = nn.Parameter(torch.zeros(1), requires_grad=False)
c[1] = 'text'
c[9] = torch.ones(1)
r = c.append(torch.ones(1)) is c
c.append(None)
r = c.extend([torch.ones(1), 7]) is c
c.extend(torch.ones(2))
c.extend(3)
c += [torch.ones(1)]
r = list(c.named_parameters())
r = c.state_dict()
c(1)
c = nn.ParameterList(); r = len(c)
c = nn.ParameterList(nn.Parameter(torch.ones(i)) for i in range(2))
c.double()
r = copy.deepcopy(c)
""")
def test_parameter_list(source):
    run(source, "nn.ParameterList([torch.ones(2, 3), nn.Parameter(torch.ones(())), {'a': 1}])")


@expressions("""
r = len(c), c['b'], list(c), 'a' in c, 'z' in c
c['z']
c['z'] = torch.zeros(2)
c['z'] = 'text'
c['b'] = nn.Parameter(torch.zeros(1))
c[3] = torch.zeros(2)
c[3]
c['keys'] = 3
del c['a']
del c['z']
r = c.pop('a')
c.pop('z')
r = c.popitem()
c.clear(); c.popitem()
c.clear()
r = c.keys()
r = c.items()
r = c.values()
r = reversed(c)
r = c.copy()
r = c.get('a'), c.get('z'), c.get('z', 3)
r = c.setdefault('a', torch.zeros(1)), c.setdefault('z', torch.zeros(1)), c.setdefault('y')
r = c.fromkeys(['p', 'q'], torch.ones(1))
r = c.fromkeys(['p'])
c.update({'z': torch.ones(1), 'y': torch.ones(1)})
c.update([('z', torch.ones(1)), ['y', 3]])
c.update(nn.ParameterDict({'q': torch.ones(1)}))
c.update(3)
c.update([3])
c.update([('a',)])
r = c | nn.ParameterDict({'q': torch.ones(1), 'a': torch.zeros(1)})
c |= nn.ParameterDict({'q': torch.ones(1)})
r = list(c.named_parameters())
r = c.state_dict()
c(1)
c = nn.ParameterDict()
c.half()
""")
def test_parameter_dict(source):
    run(source, "nn.ParameterDict({'b': torch.ones(2), 'a': nn.Parameter(torch.ones(1)), 'n': 1})")
