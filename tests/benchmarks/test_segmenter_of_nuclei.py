"""The segmenter's trainer: images and targets stay together, the loss wants the target, and the best epoch is kept."""

import json
import re
import sys

import keras
import numpy as np
import safetensors.numpy
from keras import ops

import dlt
from benchmarks.nuclei_segmenter import NETWORKS, KeepBest, augmented, compiled, loss, main, targets, write
from dlt.data import cells
from dlt.data.nuclei import LabelledImages
from dlt.metrics import object_scores
from dlt.predict import objects


def test_targets_give_the_objects_back():
    for labels in cells(4, 96, labels=True)[1]:
        maps = targets(labels)
        assert (maps.dtype, maps.shape) == ("float32", (*labels.shape[:2], 2))
        scores = object_scores(labels, objects(maps, method="watershed"))
        assert scores.average_precision > 0.9


def test_images_and_targets_stay_together(rng):
    masks = rng.random((16, 24, 24, 2)).astype("float32")
    images = np.repeat(masks[..., :1], 3, -1)
    moved, together = augmented(images.copy(), masks.copy(), seed=3)
    assert (moved.dtype, moved.shape) == ("float32", images.shape)
    assert moved.min() >= 0
    assert moved.max() <= 1
    ranks = [np.corrcoef(np.argsort(np.argsort(a.mean(-1).ravel())), b[..., 0].ravel())[0, 1] for a, b in zip(
        moved, together, strict=True)]  # fmt: skip
    assert min(ranks) > 0.85
    assert sum(np.array_equal(a, b) for a, b in zip(masks, together, strict=True)) < 8
    again, _ = augmented(images.copy(), masks.copy(), seed=3)
    np.testing.assert_array_equal(again, moved)


def test_the_loss_is_least_at_the_target():
    target = targets(cells(1, 48, labels=True)[1][0])[None]
    other = np.clip(target + 0.1 * np.random.default_rng(0).standard_normal(target.shape), 0.01, 0.99)
    near = np.clip(target, 0.01, 0.99)
    assert float(loss(ops.convert_to_tensor(target), ops.convert_to_tensor(near.astype("float32")))) < float(
        loss(ops.convert_to_tensor(target), ops.convert_to_tensor(other.astype("float32")))
    )


def test_the_best_epoch_is_kept_with_averaged_weights(tmp_path):
    class Measured:
        values = iter([0.2, 0.5, 0.4])

        def average_precision(self, model):
            self.seen = ops.convert_to_numpy(model.weights[0]).copy()
            return next(self.values)

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9), "mse", jit_compile=False)
    measured, seen, trained = Measured(), [], []

    def record(epoch, logs):
        seen.append(measured.seen)
        trained.append(ops.convert_to_numpy(model.weights[0]).copy())

    callbacks = [KeepBest(tmp_path, measured), keras.callbacks.LambdaCallback(on_epoch_end=record)]
    model.fit(np.ones((4, 3)), np.ones((4, 1)), batch_size=1, epochs=3, callbacks=callbacks, verbose=0)
    assert not any(np.allclose(*pair) for pair in zip(seen, trained, strict=True))  # the averages were there a moment
    assert json.loads((tmp_path / "best.json").read_text()) == {"epoch": 1, "val_ap": 0.5}
    (kept,) = safetensors.numpy.load_file(tmp_path / "best.safetensors").values()
    np.testing.assert_array_equal(kept, seen[1])


def test_a_refit_goes_on_from_its_weights_with_the_validation_images(tmp_path, monkeypatch):
    monkeypatch.setitem(NETWORKS, "unet", {"depth": 2, "initial_filters": 4})
    images, labels = cells(2, 64, labels=True)
    parts = {
        part: LabelledImages([part], [(255 * images[i].repeat(3, -1)).astype("uint8")], [labels[i]])
        for i, part in enumerate(("train", "validation"))
    }
    monkeypatch.setattr(dlt.data, "nuclei", lambda directory: parts)
    drawn = []
    patches = dlt.data.SegmentationPatches
    monkeypatch.setattr(dlt.data, "SegmentationPatches", lambda *args, **kw: drawn.append(args) or patches(*args, **kw))
    before = compiled({"seed": 3, "network": "unet", "dtype": "float32", "rate": 0, "steps": 9, "warm_up": 1, "ema": 0})
    write(before, tmp_path / "before.safetensors", "float16")
    (tmp_path / "before.json").write_text('{"best": 1}')
    options = (
        f"--refit {tmp_path / 'before.safetensors'} --steps 2 --epoch 1 --batch-size 1 --patch 32 --rate 0 --warm-up 1"
    )
    for more in ([], ["--out", str(tmp_path / "after")]):
        monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "folder"), *options.split(), "--dtype", "float32", *more])
        main()
    assert [len(args[0]) for args in drawn] == [2, 2]
    after = safetensors.numpy.load_file(tmp_path / "after.safetensors")
    for name, array in safetensors.numpy.load_file(tmp_path / "before.safetensors").items():
        if not re.search("mean|variance", name):
            np.testing.assert_array_equal(after[name], array)  # a rate of zero: nothing but statistics has moved
    story = json.loads((tmp_path / "after.json").read_text())
    assert (story["best"], story["before"], list(story["history"])) == (None, {"best": 1}, ["loss"])
