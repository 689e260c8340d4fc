/** Cells of a notebook that the tests of editors train in. */

export const CELLS = [
  `import os, random, time, trainstash
r = random.Random(1)
run = trainstash.init(rng=r)`,
  // It trains slowly until the file is there.
  `for epoch in run.epochs(20):
    for i in run.batches(range(50)):
        until = time.monotonic() + 1
        while not os.path.exists("go on") and time.monotonic() < until: time.sleep(0.01)
        run.step(loss=r.random())`,
];
