import trainstash
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

model = AutoModelForCausalLM.from_pretrained("gpt2")
trainer = Trainer(model=model, args=TrainingArguments("out"), train_dataset=data)
trainstash.attach(trainer)
trainer.train()
trainer.save_model("out/final")
