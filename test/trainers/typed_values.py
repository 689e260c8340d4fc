"""Logs doubles as values of many types, beside what is no number."""
import os, struct, sys, time
raw = open('doubles.bin', 'rb').read()
values = [struct.unpack_from('>d', raw, at)[0] for at in range(0, len(raw), 8)]
import decimal, fractions, numpy, trainstash
class Model:
    def state_dict(self): return {}
    def load_state_dict(self, state): pass
class Pair:
    def item(self): raise RuntimeError('a Tensor with 2 elements cannot be converted to Scalar')
def typed(step, value):
    kind = step % 6
    if kind == 1: return numpy.float64(value)
    if kind == 2: return numpy.array([value])
    if kind == 3: return decimal.Decimal(value)
    if kind == 4 and value - value == 0 and value != 0: return fractions.Fraction(value)
    if kind == 5 and value - value == 0 and value == int(value) and value != 0: return int(value)
    return value
run = trainstash.init(model=Model())
for step, value in enumerate(values, 1):
    run.step(x=typed(step, value), pair=Pair(), none=None)
run.log(huge=10 ** 5000, flag=True, odd=2 ** 53 + 1)
run.checkpoint()
