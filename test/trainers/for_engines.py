"""Adds up what it sees, slowly until a file is there."""
import os, time, trainstash

class Slow:
    def state_dict(self):
        if 'run' in globals() and os.path.exists(run.params['go'] + '.slow'):
            time.sleep(8)
        return {}

    def load_state_dict(self, state):
        pass

run = trainstash.init(params={'lr': 1.0, 'go': ''}, every="20 steps", slow=Slow())
state = run.state(total=0)
print('begins at', run.steps, flush=True)
for x in run.batches(list(range(3_000))):
    state.total += x
    run.step(loss=1.0 / (1 + run.steps))
    if run.steps % 10 == 0:
        print('seen', run.steps, time.time(), flush=True)
    if not os.path.exists(run.params['go']):
        time.sleep(0.05)
print('total', state.total, 'lr', run.params['lr'], flush=True)
