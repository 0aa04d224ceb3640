"""Against TRL's SFTTrainer on the same encoded rows (runs where `trl` is installed)."""

import pytest
import torch

from playground.data.batches import collate
from playground.data.encode import Encoder
from playground.data.examples import Example, Turn
from playground.data.styles import get_style
from playground.models import lora
from playground.models.adapter_file import read_adapter
from playground.models.fused import fuse_lora
from playground.models.head import backbone
from playground.models.load import load_base
from playground.training.loss import SupervisedLoss

trl = pytest.importorskip("trl")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore::FutureWarning")]  # TRL's own calls


def test_loss_and_gradients_of_a_step_equal_trl(tiny_folder, byte_tokenizer, tmp_path):
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM

    folder = tiny_folder("llama")
    base = load_base(str(folder), "none")
    encoder = Encoder(base.tokenizer, get_style("chat"), base.end_token_id, 512)
    turns = [
        ("Say hi.", "Hi."),
        ("What is two plus two, please?", "Four, and that is all."),
        ("Why?", "Because it is so."),
    ]
    rows = [encoder.example(Example((Turn("user", p), Turn("assistant", c)), 1)) for p, c in turns]
    model = lora.attach_new(base, 4, 8, seed=0)
    weights = lora.state(model)
    generator = torch.Generator().manual_seed(1)
    for name in weights:
        if "lora_B" in name:
            weights[name] = torch.randn(weights[name].shape, generator=generator) * 0.05
    lora.put_state(model, weights)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    fuse_lora(model)
    count = sum(row.num_trained for row in rows)
    loss = SupervisedLoss(backbone(base.model), base.head)(collate(rows, 0)) / count
    loss.backward()
    ours = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    data = Dataset.from_list([{"input_ids": list(r.input_ids), "labels": list(r.labels)} for r in rows])
    arguments = trl.SFTConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=3, max_steps=1, use_cpu=True, bf16=False, report_to="none",
        gradient_checkpointing=False, packing=False, max_length=512, learning_rate=0.0, disable_tqdm=True, save_strategy="no",
        dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip
    trainer = trl.SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
        args=arguments, train_dataset=data, processing_class=byte_tokenizer,
        peft_config=LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"),
    )  # fmt: skip
    lora.put_state(trainer.model, weights)
    batch = next(iter(trainer.get_train_dataloader()))
    assert sorted((batch["labels"] != -100).sum(1).tolist()) == sorted(r.num_trained for r in rows)
    theirs = trainer.compute_loss(trainer.model, batch, num_items_in_batch=torch.tensor(count))
    theirs.backward()
    assert loss.item() == pytest.approx(theirs.item(), rel=1e-5)
    for name, parameter in trainer.model.named_parameters():
        if parameter.grad is not None:
            assert torch.allclose(ours[name], parameter.grad, atol=1e-5), name


def test_adapter_trained_by_trl_gives_the_same_logits_here(tiny_folder, byte_tokenizer, tmp_path):
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM

    from playground.models.lanes import Blend, lanes

    folder = tiny_folder("llama")
    rows = [{"prompt": f"What is {n}?", "completion": f" It is {n}."} for n in range(8)]
    arguments = trl.SFTConfig(
        output_dir=str(tmp_path / "trl"), per_device_train_batch_size=4, max_steps=4, use_cpu=True, bf16=False,
        report_to="none", learning_rate=5e-3, disable_tqdm=True, save_strategy="no", max_length=128,
        gradient_checkpointing=False,
    )  # fmt: skip
    trainer = trl.SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), args=arguments,
        train_dataset=Dataset.from_list(rows), processing_class=byte_tokenizer,
        peft_config=LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "v_proj", "down_proj"], lora_dropout=0.05),
    )  # fmt: skip
    trainer.train()
    trainer.model.save_pretrained(tmp_path / "adapter")
    ids = torch.randint(3, 250, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        theirs = trainer.model.eval()(input_ids=ids).logits

    base = load_base(str(folder), "none")
    plain = base.model(input_ids=ids).logits
    model = lora.attach(base, None, read_adapter(tmp_path / "adapter"), "default")
    with torch.inference_mode(), lanes(model, [Blend("default"), Blend()]):
        ours = model(input_ids=ids).logits
    assert torch.allclose(ours[0], theirs[0], atol=1e-4)
    assert not torch.allclose(ours[0], plain[0], atol=1e-3)
    assert torch.allclose(ours[1], plain[1], atol=1e-4)
