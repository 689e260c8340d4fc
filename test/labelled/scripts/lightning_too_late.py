import lightning as L
import trainstash


def main():
    model = LitNet()
    trainer = L.Trainer(max_epochs=5)
    trainer.fit(model, train_loader)
    trainstash.attach(trainer)  # <- lateAdapter


main()
