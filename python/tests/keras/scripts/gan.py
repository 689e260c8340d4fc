"""Two networks that are trained by turns in a ``train_step`` of the script's own, each with an optimizer of its own."""

import keras
import trainstash
from common import Kill, L, x

keras.utils.set_random_seed(1)


class Gan(keras.Model):
    def __init__(self):
        super().__init__()
        self.generator = keras.Sequential([keras.Input((4,)), L.Dense(8, activation="relu"), L.Dense(8)])
        self.discriminator = keras.Sequential([keras.Input((8,)), L.Dense(8, activation="relu"), L.Dropout(0.2), L.Dense(1)])
        self.noise = keras.random.SeedGenerator(5)
        self.loss_of = keras.losses.BinaryCrossentropy(from_logits=True)
        self.generator_optimizer = keras.optimizers.Adam(1e-3)
        self.discriminator_optimizer = keras.optimizers.Adam(1e-3)

    def call(self, inputs):
        return self.discriminator(inputs)

    def train_step(self, real):
        import tensorflow as tf

        drawn = keras.random.normal((tf.shape(real)[0], 4), seed=self.noise)
        with tf.GradientTape() as tape:
            judged = self.discriminator(tf.concat([real, self.generator(drawn)], 0), training=True)
            truth = tf.concat([tf.ones_like(judged[: tf.shape(real)[0]]), tf.zeros_like(judged[tf.shape(real)[0] :])], 0)
            loss = self.loss_of(truth, judged)
        own = self.discriminator.trainable_variables
        self.discriminator_optimizer.apply(tape.gradient(loss, own), own)
        with tf.GradientTape() as tape:
            judged = self.discriminator(self.generator(drawn, training=True))
            fooled = self.loss_of(tf.ones_like(judged), judged)
        own = self.generator.trainable_variables
        self.generator_optimizer.apply(tape.gradient(fooled, own), own)
        return {"loss": loss, "fooled": fooled}


model = Gan()
model.compile()
model.fit(x, epochs=3, batch_size=32, verbose=0, callbacks=[trainstash.keras(), Kill()])
