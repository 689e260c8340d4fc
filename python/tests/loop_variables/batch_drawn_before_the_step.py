import trainstash

run = trainstash.init(model=model, optimizer=optimizer)
x = draw()
while run.steps < 100:
    loss = step(model, x)
    x = draw()
    run.step(loss=loss)
