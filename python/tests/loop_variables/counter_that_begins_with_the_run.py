import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
step_count = run.steps
while step_count < 100:
    step(model, draw())
    run.step()
    step_count += 1
