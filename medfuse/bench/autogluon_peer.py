"""What `bench autogluon` runs in AutoGluon's own environment: a table in, probabilities out; medfuse is not there.

Called with a folder that holds `job.json`, `train.csv`, `validation.csv`, `test.csv` and the image encoder's weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main(folder: Path) -> None:
    """Fit AutoGluon's predictor to the table and write `probabilities.csv` for the test rows."""
    import pandas as pd
    from autogluon.multimodal import MultiModalPredictor

    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    tables = {name: pd.read_csv(folder / f"{name}.csv") for name in ("train", "validation", "test")}
    settings: dict[str, Any] = {
        "model.names": ["timm_image", "hf_text", "numerical_mlp", "categorical_mlp", "fusion_mlp"],
        "model.timm_image.checkpoint_name": str(_timm_folder(folder)),
        "model.hf_text.checkpoint_name": job["text"],
        "env.num_gpus": 0,
        "env.num_workers": 0,
        "env.num_workers_inference": 0,
        "optim.max_epochs": job["epochs"],
    }
    predictor = MultiModalPredictor(
        label="label", problem_type="multiclass", eval_metric="log_loss", path=str(folder / "model"), verbosity=0
    )
    kinds = {"image": "image_path", "text": "text"}
    predictor.fit(
        tables["train"],
        tuning_data=tables["validation"],
        hyperparameters=settings,
        column_types=kinds,
        seed=job["seed"],
    )
    told = predictor.predict_proba(tables["test"].drop(columns="label"))
    told.to_csv(folder / "probabilities.csv", index=False)


def _timm_folder(folder: Path) -> Path:
    """EfficientNet-Lite0 as a checkpoint folder of timm, whose layers stand in the same order under other names."""
    import timm
    import torch

    given = list(torch.load(folder / "image.pt", map_location="cpu", weights_only=True).values())
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    own = network.state_dict()
    if [tuple(one.shape) for one in given] != [tuple(one.shape) for one in own.values()]:
        message = "timm's EfficientNet-Lite0 has other layers than the weights that were handed over"
        raise SystemExit(message)
    made = folder / "timm"
    made.mkdir(exist_ok=True)
    torch.save(dict(zip(own, given, strict=True)), made / "pytorch_model.bin")
    kept = {"architecture": "tf_efficientnet_lite0", "num_features": network.num_features, **network.pretrained_cfg}
    (made / "config.json").write_text(json.dumps(kept, default=str), encoding="utf-8")
    return made


if __name__ == "__main__":
    main(Path(sys.argv[1]))
