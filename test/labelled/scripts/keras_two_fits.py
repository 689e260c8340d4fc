import keras
import trainstash

model = build()
model.compile("adam", "mse")
model.fit(warm_x, warm_y, epochs=1)
model.compile("adam", "mse")
model.fit(x, y, epochs=5, callbacks=[trainstash.keras()])
