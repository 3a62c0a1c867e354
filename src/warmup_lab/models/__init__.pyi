from .build import build_model as build_model
from .forward import logits_of as logits_of
from .forward import loss_sum as loss_sum
from .forward import to_device as to_device
from .packed_forward import collate_for as collate_for
from .pretrained import pretrained_folder as pretrained_folder
from .pretrained import quiet_transformers as quiet_transformers
