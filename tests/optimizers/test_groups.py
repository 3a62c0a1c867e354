"""Parameter groups: weight decay, hidden matrices and frozen parameters."""

from optimizer_cases import is_encoder_matrix, tiny_bert

from warmup_lab.config.model_schema import RandomModel
from warmup_lab.models.build import build_model
from warmup_lab.optimizers.groups import parameter_groups


def test_weight_decay_of_each_parameter_of_bert():
    model = tiny_bert()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = [
        {names[id(parameter)] for parameter in group["params"]} | {str(group["weight_decay"])}
        for group in parameter_groups(model, 0.3)
    ]
    block = "bert.encoder.layer.0."
    matrices = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
                "intermediate.dense", "output.dense")  # fmt: skip
    norms = ("bert.embeddings.LayerNorm", f"{block}attention.output.LayerNorm", f"{block}output.LayerNorm")
    linear = {*(f"{block}{name}" for name in matrices), "bert.pooler.dense", "classifier"}
    embeddings = {f"bert.embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")}
    assert groups == [
        {"0.3", *embeddings, *(f"{name}.weight" for name in linear)},
        {"0.0", *(f"{name}.bias" for name in (*linear, *norms)), *(f"{name}.weight" for name in norms)},
    ]  # fmt: skip


def test_hidden_matrices_are_those_of_the_encoder_layers():
    for kind in ("bert", "preln"):
        model = build_model(
            RandomModel(kind, num_layers=2, hidden_size=8, num_heads=2),
            vocab_size=20, pad_id=0, label_names=("bad", "good"), max_length=8, seed=0,
        )  # fmt: skip
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        groups = parameter_groups(model, 0.3, split_hidden=True)
        assert [group["role"] for group in groups] == ["hidden", "matrices", "vectors"]
        assert [group["weight_decay"] for group in groups] == [0.3, 0.3, 0.0]
        hidden, matrices, _ = ({names[id(parameter)] for parameter in group["params"]} for group in groups)
        assert hidden == {name for name, parameter in model.named_parameters() if is_encoder_matrix(name, parameter)}
        assert len(hidden) == 2 * 6
        assert len(matrices) == 3 + 2, "embeddings; pooler and classifier, or the two layers of RoBERTa's head"
        assert sum(len(group["params"]) for group in groups) == len(names)


def test_frozen_parameters_are_in_no_group():
    model = tiny_bert()
    for parameter in model.bert.parameters():
        parameter.requires_grad_(False)
    assert [len(group["params"]) for group in parameter_groups(model, 0.1)] == [1, 1]
