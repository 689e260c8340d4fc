import lightning as L
import trainstash

model = LitNet()
trainer = L.Trainer(max_epochs=5)
trainstash.attach(trainer)
trainer.fit(model, train_loader, val_loader)
trainer.test(model, test_loader)
