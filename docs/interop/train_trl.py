"""Train a model on exported data with TRL. Run: python train_trl.py DATA MODEL OUT [STEPS]"""

import sys

import torch
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

data, model, out = sys.argv[1:4]
rows = load_dataset(data)
trainer = SFTTrainer(
    model=model,
    args=SFTConfig(
        output_dir=out,
        max_steps=int(sys.argv[4]) if len(sys.argv) > 4 else -1,
        per_device_train_batch_size=4,
        logging_steps=1,
        use_cpu=not torch.cuda.is_available(),
        bf16=torch.cuda.is_available(),
        report_to="none",
    ),
    train_dataset=rows["train"].select_columns(["prompt", "completion"]),
)
trainer.train()
trainer.save_model(out)
