import keras
import trainstash

model = build()
model.compile("adam", "mse")
model.fit(x, y, epochs=5)
callback = trainstash.keras()  # <- lateAdapter
