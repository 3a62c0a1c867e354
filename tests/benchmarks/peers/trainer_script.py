"""Fine-tunes a small BERT classifier with `transformers.Trainer`, as people write it without an experiment harness.

    python trainer_script.py --model FOLDER --train train.tsv --validation validation.tsv --lr 1e-3 \
        --warmup_steps 24 --max_steps 240 --seed 0 --output FOLDER

The folder of `--model` holds config.json and a tokenizer; the weights are random. `--warmup_steps` and `--seed` may be
lists of equal length. Then that many runs are made one after another in this process, on texts tokenised once.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)


class Texts(torch.utils.data.Dataset):
    def __init__(self, path, tokenizer, max_length):
        with open(path, encoding="utf-8", newline="") as file:  # noqa: PTH123
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        self.encodings = tokenizer([row["sentence"] for row in rows], truncation=True, max_length=max_length)
        self.labels = [int(row["label"]) for row in rows]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return {**{key: values[index] for key, values in self.encodings.items()}, "labels": self.labels[index]}


def accuracy(predictions):
    return {"accuracy": float((np.argmax(predictions.predictions, axis=-1) == predictions.label_ids).mean())}


def run(arguments, tokenizer, train, validation, warmup_steps, seed):
    set_seed(seed)
    config = AutoConfig.from_pretrained(arguments.model)
    model = AutoModelForSequenceClassification.from_config(config)
    output = Path(arguments.output) / f"w{warmup_steps}-s{seed}"
    settings = TrainingArguments(
        output_dir=str(output),
        max_steps=arguments.max_steps,
        per_device_train_batch_size=arguments.batch_size,
        per_device_eval_batch_size=4 * arguments.batch_size,
        learning_rate=arguments.lr,
        lr_scheduler_type="linear",
        warmup_steps=warmup_steps,
        weight_decay=0.01,
        optim="adamw_torch_fused",
        seed=seed,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
    )
    trainer = Trainer(
        model=model,
        args=settings,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=accuracy,
    )
    trained = trainer.train()
    metrics = trainer.evaluate()
    metrics |= {"train_loss": trained.training_loss, "warmup_steps": warmup_steps, "seed": seed}
    output.mkdir(parents=True, exist_ok=True)
    (output / "metrics.json").write_text(json.dumps(metrics))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--train", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--max_length", type=int, default=128)
    parser.add_argument("--max_steps", type=int, default=240)
    parser.add_argument("--warmup_steps", type=int, nargs="+", default=[24])
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    train = Texts(arguments.train, tokenizer, arguments.max_length)
    validation = Texts(arguments.validation, tokenizer, arguments.max_length)
    seconds = []
    for warmup_steps, seed in zip(arguments.warmup_steps, arguments.seed, strict=True):
        started = time.perf_counter()
        run(arguments, tokenizer, train, validation, warmup_steps, seed)
        seconds.append(time.perf_counter() - started)
    Path(arguments.output, "seconds.json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    main()
