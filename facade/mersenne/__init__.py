"""PyTorch's CPU random numbers in numpy: the generator and every distribution drawn from it.

A draw takes the engine first, then a tuple for the shape, and returns a new array whose elements
were drawn in memory order. Numbers and generator states are those of PyTorch on a processor with
AVX2, bit for bit, except for: the order of equal candidates in a multinomial draw without
replacement, the last bit of float64 Dirichlet numbers of more than three categories, and a rare
Poisson number of a rate beyond 10**10.
"""

from .categorical import multinomial as multinomial
from .engine import MersenneTwister as MersenneTwister
from .inverse import cauchy as cauchy
from .inverse import exponential as exponential
from .inverse import geometric as geometric
from .normals import log_normal as log_normal
from .normals import normal as normal
from .permutations import permutation as permutation
from .rejection import binomial as binomial
from .rejection import dirichlet as dirichlet
from .rejection import gamma as gamma
from .rejection import poisson as poisson
from .uniforms import bernoulli_array as bernoulli_array
from .uniforms import bernoulli_scalar as bernoulli_scalar
from .uniforms import uniform as uniform
from .whole_numbers import integers as integers
from .whole_numbers import random_full_range as random_full_range
