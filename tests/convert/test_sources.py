"""What people's files look like: wrappers, prefixes, copies, larger networks, other layouts, low rank, 8 bits."""

import logging

import keras
import numpy as np
import pytest
from keras import layers, ops

from dlt.convert import load_weights
from dlt.models import ConvNeXtV1, ConvNeXtV2
from tests.convert.other_names import state_dict
from tests.helpers import randomise

TINY = {"depths": (1, 1), "dims": (4, 8), "num_classes": 3, "input_shape": (16, 16, 3), "patch_size": 4}
BACKBONE = {**TINY, "include_top": False}


def same(model, other):
    return all(
        np.array_equal(ops.convert_to_numpy(a), ops.convert_to_numpy(b))
        for a, b in zip(model.weights, other.weights, strict=True)
    )


@pytest.fixture
def trained():
    return randomise(ConvNeXtV2(**TINY))


def prefixed(state, prefix):
    return {prefix + name: array for name, array in state.items()}


@pytest.mark.parametrize("style", ["official", "timm", "hf"])
@pytest.mark.parametrize(
    ("wrap", "found"),
    [
        (lambda state: prefixed(state, "module."), "module."),
        (lambda state: prefixed(state, "_orig_mod."), "_orig_mod."),
        (lambda state: prefixed(state, "module._orig_mod."), "module._orig_mod."),
        (lambda state: prefixed(state, "model."), "model."),
        (lambda state: prefixed(state, "backbone."), "backbone."),
        (lambda state: prefixed(state, "encoder."), "encoder."),
        (lambda state: prefixed(state, "timm_model."), "timm_model."),
        (lambda state: prefixed(state, "visual.trunk."), "visual.trunk."),
        (lambda state: {"model": state, "optimizer": {"state": {0: {"exp_avg": np.ones(3)}}}, "epoch": 3}, "model."),
        (lambda state: {"state_dict": prefixed(state, "module.")}, "state_dict.module."),
        (
            lambda state: {"state_dict": prefixed(state, "model.net."), "hyper_parameters": {"lr": 1.0}, "epoch": 3},
            "state_dict.model.net.",
        ),
    ],
)
def test_wrappers_and_prefixes(trained, style, wrap, found):
    fresh = ConvNeXtV2(**TINY)
    report = load_weights(fresh, wrap(state_dict(trained, style)))
    assert same(fresh, trained)
    assert report.notes == (f"found under {found!r} in the source",)
    assert found in repr(report)
    assert not report.skipped
    assert set(report.unused) <= {"optimizer.state.0.exp_avg"}


def test_averages_are_named_and_taken_by_choice(trained, caplog):
    state = state_dict(trained, "timm")
    average = {name: array + 1 for name, array in state.items()}
    source = {"state_dict": state, "state_dict_ema": prefixed(average, "module."), "n_averaged": np.array(7)}
    fresh = ConvNeXtV2(**TINY)
    report = load_weights(fresh, source)
    assert same(fresh, trained)
    assert report.notes[1] == (
        "the source has another copy under 'state_dict_ema.module.': choose it with key='state_dict_ema.module'"
    )
    assert len(report.unused) == len(state) + 1
    assert set(report.unused) == {*prefixed(state, "state_dict_ema.module."), "n_averaged"}
    assert len(repr(report).splitlines()) == 5  # many weights with the same reason are one line
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    for key in ("state_dict_ema", "state_dict_ema.module", "state_dict_ema.module."):
        report = load_weights(fresh, source, key=key)
        gamma = next(weight for weight in fresh.weights if weight.path == "stem_norm/gamma")
        np.testing.assert_array_equal(ops.convert_to_numpy(gamma), average["stem.1.weight"])
        assert len(report.unused) == len(state) + 1
    with pytest.raises(ValueError, match=r"nothing under this key\. Expected one of n_averaged, state_dict"):
        load_weights(fresh, source, key="model_ema")


@pytest.mark.parametrize("order", [("model", "model_ema"), ("model_ema", "model"), ("network", "ema")])
def test_an_average_is_never_taken_by_itself(trained, order):
    state = state_dict(trained, "official")
    average = {name: array + 1 for name, array in state.items()}
    fresh = ConvNeXtV2(**TINY)
    load_weights(fresh, {name: average if "ema" in name else state for name in order})
    assert same(fresh, trained)


def test_a_backbone_out_of_a_larger_network(caplog):
    backbone = randomise(ConvNeXtV2(**BACKBONE))
    state = state_dict(randomise(ConvNeXtV2(**TINY)), "timm")
    source = prefixed({name: array for name, array in state.items() if not name.startswith("head")}, "backbone.")
    source |= {f"decode_head.convs.{i}.weight": np.ones((3, 3)) for i in range(100)}
    caplog.set_level(logging.INFO, logger="dlt.convert")
    report = load_weights(backbone, source)
    assert (len(report.loaded), len(report.unused), report.skipped) == (len(backbone.weights), 100, {})
    assert set(report.unused.values()) == {"outside 'backbone.', where the network was found"}
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_counts_are_no_weights(trained):
    report = load_weights(ConvNeXtV2(**TINY), {**state_dict(trained, "timm"), "n_averaged": np.array(7)})
    assert report.unused == {"n_averaged": "a count, which no layer needs"}


@pytest.mark.parametrize("decoders", [6, 20])
def test_a_backbone_out_of_a_larger_keras_model(decoders):
    backbone, fresh = randomise(ConvNeXtV2(**BACKBONE)), ConvNeXtV2(**BACKBONE)
    images = keras.Input((16, 16, 3))
    y = backbone(images)
    for n in range(decoders):
        y = layers.Conv2D(4, 1, name=f"decoder_{n}")(y)
    report = load_weights(fresh, keras.Model(images, y), skip="decoder")
    assert same(fresh, backbone)
    assert len(report.unused) == 2 * decoders
    with pytest.raises(ValueError, match="decoder_0/kernel: the model has no such weight"):
        load_weights(fresh, keras.Model(images, y))


def test_two_networks_of_the_same_names_are_not_mixed_up(trained):
    fresh = ConvNeXtV2(**TINY)
    images = keras.Input((16, 16, 3))
    other = randomise(ConvNeXtV2(**TINY), seed=1)
    pair = keras.Model(images, layers.Add()([trained(images), other(images)]))
    for model, source in ((pair, fresh), (fresh, pair)):
        with pytest.raises(ValueError, match=r"share a name.* Received: 2 weights with the path"):
            load_weights(model, source)


def sparse(model):
    """Return a V2's weights as FCMAE's sparse encoder has them, beside its decoder."""
    state = {}
    for name, array in state_dict(model, "official").items():
        layer, _, leaf = name.rpartition(".")
        if name.startswith(("norm.", "head.")):
            continue
        if leaf == "weight" and layer.endswith("dwconv"):  # (C, 1, 7, 7): columns one after the other
            name, array = f"{layer}.kernel", array[:, 0].transpose(2, 1, 0).reshape(49, -1)
        elif leaf == "weight" and array.ndim == 4 and "downsample_layers.0" not in name:
            name, array = f"{layer}.kernel", array.transpose(3, 2, 1, 0).reshape(4, *array.shape[1::-1])
        elif "pwconv" in name:
            name = f"{layer}.linear.{leaf}"
        elif layer.endswith("norm") or (layer.endswith(".0") and "downsample_layers.0" not in name):
            name = f"{layer}.ln.{leaf}"
        elif "grn" in name:
            array = array.reshape(1, -1)
        state[f"encoder.{name}"] = array.reshape(1, -1) if leaf == "bias" and "dwconv" in name else array
    state["mask_token"] = np.zeros((1, 8, 1, 1))
    state |= {f"{name}.weight": np.zeros((8, 8, 1, 1)) for name in ("proj", "pred", "decoder.0.dwconv")}
    return state


@pytest.mark.parametrize("prefix", ["encoder.", ""])
def test_fcmae(trained, prefix):
    source = {name.removeprefix("encoder.") if not prefix else name: array for name, array in sparse(trained).items()}
    fresh = ConvNeXtV2(**BACKBONE)
    report = load_weights(fresh, {"model": source})
    assert (report.source, report.skipped, len(report.unused)) == ("official", {}, 4)
    names = {weight.path: ops.convert_to_numpy(weight) for weight in trained.weights}
    for weight in fresh.weights:
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), names[weight.path], err_msg=weight.path)


def test_sizes_that_agree_by_chance_do_not_fit(trained):
    state = state_dict(trained, "timm")
    state["stem.1.weight"] = state["stem.1.weight"].reshape(2, 2)
    with pytest.raises(ValueError, match=r"stem_norm/gamma: the source has shape \(2, 2\), the model \(4,\)"):
        load_weights(ConvNeXtV2(**TINY), state)


@pytest.mark.parametrize("skip", ["stem", ["stem"], ("stem",)])
def test_one_name_to_skip_is_a_name_not_its_letters(skip):
    deep, shallow = ConvNeXtV2(**{**TINY, "depths": (2, 2)}), ConvNeXtV2(**TINY)
    with pytest.raises(ValueError, match="stage_0_block_1"):
        load_weights(deep, shallow, skip=skip)


@pytest.mark.parametrize("skip", ["", ("stem", ""), (1,)])
def test_what_is_no_name_to_skip(trained, skip):
    with pytest.raises(ValueError, match="Invalid `skip`"):
        load_weights(ConvNeXtV2(**TINY), trained, skip=skip)


def test_another_patch_size_says_how_to_keep_the_stem(trained, caplog):
    for source in (trained, state_dict(trained, "official")):
        report = load_weights(ConvNeXtV2(**{**TINY, "patch_size": 2}), source, skip="stem")
        assert "build the model with patch_size=4 to keep the stem" in report.skipped["stem_conv/kernel"]
        assert "patch_size=4" in caplog.records[-1].getMessage()
    grey = ConvNeXtV2(**{**TINY, "input_shape": (16, 16, 1)})
    assert "patch_size" not in load_weights(grey, trained, skip="stem").skipped["stem_conv/kernel"]


@pytest.mark.parametrize("low_rank_source", [False, True])
@pytest.mark.parametrize("low_rank_target", [False, True])
def test_low_rank_updates(trained, rng, low_rank_source, low_rank_target):
    images = rng.normal(size=(2, 16, 16, 3)).astype("float32")
    fresh = randomise(ConvNeXtV2(**TINY), seed=1)
    if low_rank_source:
        trained.get_layer("head").enable_lora(2, b_initializer="ones")
    if low_rank_target:
        fresh.get_layer("head").enable_lora(2, b_initializer="ones")
    report = load_weights(fresh, trained)
    np.testing.assert_allclose(*(ops.convert_to_numpy(model(images)) for model in (fresh, trained)), atol=1e-5)
    assert (report.skipped, report.unused) == ({}, {})
    assert report.notes == (("low-rank updates (LoRA) start from zero again: head",) if low_rank_target else ())
    if low_rank_target:
        head = fresh.get_layer("head")
        assert ops.convert_to_numpy(head.lora_kernel_a).any()  # with both factors zero, no gradient would reach either
        assert not ops.convert_to_numpy(head.lora_kernel_b).any()


def test_unmerged_low_rank_updates_of_peft_are_refused(trained):
    source = prefixed(state_dict(trained, "timm"), "base_model.model.")
    source["base_model.model.head.fc.lora_A.default.weight"] = np.zeros((2, 8))
    with pytest.raises(ValueError, match=r"low-rank updates.*merge_and_unload"):
        load_weights(ConvNeXtV2(**TINY), source)


def head_in_int8(model):
    model.get_layer("head").quantize("int8")
    return model


def test_quantized_models(trained, rng):
    images = rng.normal(size=(2, 16, 16, 3)).astype("float32")
    fresh = ConvNeXtV2(**TINY)
    small = head_in_int8(randomise(ConvNeXtV2(**TINY), seed=1))
    with pytest.raises(ValueError, match=r"is quantized, and the source is not.*Load the weights first"):
        load_weights(small, trained)
    with pytest.raises(ValueError, match=r"The source is quantized, and .* is not"):
        load_weights(fresh, small)
    again = head_in_int8(ConvNeXtV2(**TINY))
    assert not load_weights(again, small).skipped
    np.testing.assert_array_equal(*(ops.convert_to_numpy(model(images)) for model in (again, small)))


def test_v1_and_its_scales_too():
    trained, fresh = randomise(ConvNeXtV1(**TINY)), ConvNeXtV1(**TINY)
    assert load_weights(fresh, prefixed(state_dict(trained, "official"), "model.")).source == "official"
    assert same(fresh, trained)
