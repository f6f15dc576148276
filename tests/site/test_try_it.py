"""The live page: networks in the browser give what Keras gives, and a reader is not left alone when something fails."""

import base64
import json
import re

import numpy as np
import pytest
from PIL import Image

from tests.site.conftest import CHROMIUM, DESK, HTML, MEASURE, PHONE, QUIET, go, new_page, violations

pytestmark = pytest.mark.site
FILES = HTML / "_static" / "try-it" / "files"
PAGE = "book/try-it.html"
MODULES = "/_static/try-it"
HEAVY = (".wasm", ".onnx", ".mjs")
PRETENDED = "Object.defineProperty(navigator, 'gpu', { value: { requestAdapter: async () => ({}) } })"


@pytest.fixture(scope="module", autouse=True)
def made(site):
    """What the build has made for the page."""
    listing = json.loads((FILES / "files.json").read_text())
    if "missing" in listing:
        pytest.skip(listing["missing"])
    return listing


@pytest.fixture(scope="module")
def dlt():
    """The package, on the backend from which the networks were exported."""
    return pytest.importorskip("dlt")


@pytest.fixture(scope="module")
def live(context, site):
    """The page, open all the time, so that each network is loaded once."""
    page = opened_page(context, site)
    yield page
    assert page.problems == []
    page.close()


def opened_page(context, site, script=""):
    page = new_page(context, site)
    page.add_init_script(script)
    page.requested = []
    page.on("request", lambda request: page.requested.append(request.url))
    go(page, PAGE)
    for panel in ("denoise", "nuclei"):
        page.wait_for_selector(f"#try-{panel}[data-ready]")
    return page


def press_load(page, panel):
    """Load the network that a panel wants, and wait for its first answer."""
    page.locator(f"#try-{panel} .load").click()
    return answer(page, panel)


def load_if_asked(page, panel):
    """Wait until a panel answers or asks to be told to load another network; tell it then."""
    answers = f"/(denoised|Counted) in/.test(document.querySelector('#try-{panel} [role=status]').textContent)"
    page.wait_for_function(f"{answers} || !document.querySelector('#try-{panel} .load').hidden")
    if page.locator(f"#try-{panel} .load").is_visible():
        press_load(page, panel)


def answer(page, panel):
    """Wait until a panel has an answer, and return what stands below its pictures."""
    status = f"document.querySelector('#try-{panel} [role=status]').textContent"
    page.wait_for_function(f"/(denoised|Counted) in/.test({status})")
    return page.inner_text(f"#try-{panel} .pictures")


def loaded(page):
    """Return the names of what was loaded of runtimes and networks."""
    return sorted(url.rsplit("/", 1)[1] for url in page.requested if url.endswith(HEAVY))


def change(page, name, value):
    """Move a slider or choose from a list; the old answer is gone at once."""
    page.evaluate("document.querySelectorAll('.try-it [role=status]').forEach(e => { e.textContent = '' })")
    script = (
        "([e, value]) => { e.value = value; for (const kind of ['input', 'change']) e.dispatchEvent(new Event(kind)) }"
    )
    page.evaluate(f"args => ({script})([document.querySelector(args[0]), args[1]])", [f"[name={name}]", str(value)])


def shown(text, after):
    """Return the number after some words."""
    return float(re.search(rf"{after}\D*?(-?[\d.]+(?:e[-+]\d+)?)", text)[1])


def in_browser(page, network, images, device="wasm"):
    """Return what the page's own modules make of images, floats of shape (height, width, channels)."""
    script = f"""async ([network, device, images]) => {{
        const {{ load, denoise }} = await import("{MODULES}/network.js");
        await load(network, device);
        const answers = [];
        for (const [height, width, channels, data] of images) {{
            const image = {{ height, width, channels, data: Float32Array.from(data) }};
            answers.push([...(await denoise(network, device, image)).data]);
        }}
        return answers;
    }}"""
    packed = [[*image.shape, image.ravel().tolist()] for image in images]
    answers = page.evaluate(script, [network, device, packed])
    return [np.reshape(each, (*image.shape[:2], -1)) for each, image in zip(answers, images, strict=True)]


def noisy(image, sigma):
    noise = np.random.default_rng(0).standard_normal(image.shape)
    return (image / 255 + sigma / 255 * noise).astype("float32")


def test_nothing_is_loaded_before_it_is_asked_for_and_nothing_leaves_the_site(live, site, made):
    change(live, "noise", 30)
    live.wait_for_timeout(300)
    assert loaded(live) == []
    button = live.inner_text("#try-denoise .load")
    wanted = (made["runtimes"]["wasm"]["bytes"] + made["networks"]["denoiser_color"]["bytes"]) / 1e6
    assert f"{wanted:.1f} MB" in button
    press_load(live, "denoise")
    assert re.search(r"denoised in \d+ ms by WebAssembly", live.inner_text("#try-denoise [role=status]"))
    assert loaded(live) == ["denoiser_color.onnx", "ort-wasm-simd-threaded.wasm", "ort.wasm.bundle.min.mjs"]
    assert [url for url in live.requested if not url.startswith((site, "blob:", "data:"))] == []


def test_the_denoiser_is_that_of_keras(live, dlt):
    """A photo in colour; odd sizes, smaller than a tile and larger; values far below 0 and above 1."""
    photos = dlt.data.photos("astronaut", "camera")
    color = [noisy(photos["astronaut"][:61, 100:145], 50)]
    grey = [noisy(photos["camera"][:33, :17], 25), 3 * noisy(photos["camera"][60:333, 100:201], 50)]
    for network, images in {"denoiser_color": color, "denoiser_grey": grey}.items():
        for image, found in zip(images, in_browser(live, network, images), strict=True):
            expected = dlt.predict.denoise(image)
            assert np.abs(expected - image).max() > 0.1
            np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_small_pair_is_that_of_keras_over_tiles(live, dlt):
    image = noisy(dlt.data.photos("camera")["camera"][:30, :470], 10)
    for network, biased in {"faint": False, "faint_biased": True}.items():
        (found,) = in_browser(live, network, [image])
        model = dlt.models.create_convunext_denoiser(pretrained="sigma_10", use_bias=biased)
        np.testing.assert_allclose(found, dlt.predict.padded(model, image[None])[0], atol=1e-4)


def test_what_the_page_says_is_true(live, made, dlt):
    """The decibels under the pictures are those of Keras's answer to the page's own noise; each photo passes 26 dB."""
    for photo in made["photos"]:
        live.click(f"#try-denoise .examples >> text='{photo['title']}'")
        live.wait_for_function("document.querySelector('#try-denoise [aria-pressed=true]')")
        change(live, "noise", 50)
        load_if_asked(live, "denoise")
        text = answer(live, "denoise")
        clean = np.asarray(Image.open(FILES / photo["file"]), "float32") / 255
        script = f"async length => [...(await import('{MODULES}/picture.js')).normal(length)]"
        noise = np.reshape(live.evaluate(script, clean.size), clean.shape)
        assert abs(noise.mean()) < 0.02
        assert abs(noise.std() - 1) < 0.01
        given = (clean + 50 / 255 * noise).astype("float32")
        for words, image in {"with noise: ": given, "denoised: ": dlt.predict.denoise(given)}.items():
            assert shown(text, words) == pytest.approx(-10 * np.log10(np.mean((image - clean) ** 2)), abs=0.06)
        assert shown(text, "denoised: ") > 26


def test_half_the_light_by_keyboard(live):
    """Without biases the two sides differ by rounding, at one half by nothing; the control, with biases, by percents.

    And the small network with biases leaves noise of 50 nearly where it is, the one without does not.
    """
    differs, at_half, reached = {}, {}, {}
    for network in ("shipped", "faint", "faint_biased"):
        live.select_option("#try-denoise [name=network]", network)
        load_if_asked(live, "denoise")
        change(live, "noise", 50)
        answer(live, "denoise")
        change(live, "light", 6)
        text = answer(live, "denoise")
        assert live.inner_text("#try-denoise .says-light") == "1/2"
        at_half[network], reached[network] = shown(text, "differs\\s+by"), shown(text, "denoised: ")
        change(live, "light", 1)
        live.focus("#try-denoise [name=light]")
        live.keyboard.press("ArrowLeft")  # a thousandth of the light
        live.wait_for_function("document.querySelector('.says-light').textContent === '1/1000'")
        differs[network] = shown(answer(live, "denoise"), "differs\\s+by")
    assert max(differs["shipped"], differs["faint"]) < 1e-6
    assert differs["faint_biased"] > 0.03
    assert at_half["shipped"] == at_half["faint"] == 0 < at_half["faint_biased"]
    assert reached["faint_biased"] < 17 < 22 < reached["faint"] < reached["shipped"]
    live.select_option("#try-denoise [name=network]", "shipped")


FRAMES = """() => {
    window.gaps = [];
    let last = performance.now();
    const frame = (now) => { window.gaps.push(now - last); last = now; requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
}"""


def test_a_megapixel_offline_without_freezing_the_page(browser, site, dlt, tmp_path):
    """Frames go on being drawn all the time; the control is a page that is kept busy for longer."""
    context = browser.new_context(base_url=site)
    context.set_default_timeout(120_000)
    page = opened_page(context, site)
    page.select_option("#try-denoise [name=network]", "faint")
    press_load(page, "denoise")
    context.set_offline(True)
    page.select_option("#try-denoise [name=size]", "1024")
    photo = dlt.data.photos("camera")["camera"][..., 0]
    Image.fromarray(photo).resize((1024, 1024)).save(tmp_path / "large.png")
    change(page, "noise", 10)
    page.evaluate(FRAMES)
    page.set_input_files("#try-denoise input[type=file]", tmp_path / "large.png")
    status = "document.querySelector('#try-denoise [role=status]').textContent"
    page.wait_for_function(f"/Denoising: 1?[0-9] of 16 tiles/.test({status})")
    page.wait_for_function(f"/In the other light: 1 of 16/.test({status})")
    gaps = np.sort(page.evaluate("window.gaps"))
    assert len(gaps) > 20
    assert np.median(gaps) < 100
    assert gaps[-1] < 1000
    text = page.inner_text("#try-denoise .pictures")
    assert shown(text, "denoised: ") > shown(text, "with noise: ") + 3
    page.evaluate("() => { const end = performance.now() + 1500; while (performance.now() < end); }")
    page.wait_for_timeout(200)
    assert max(page.evaluate("window.gaps")) > 1000
    assert page.problems == []
    context.close()


def test_a_bad_file_is_named_and_the_page_goes_on(live, tmp_path):
    live.select_option("#try-denoise [name=network]", "shipped")
    for name, content in {"notes.png": b"not an image", "empty.png": b"", "cut.png": cut_png()}.items():
        (tmp_path / name).write_bytes(content)
        live.set_input_files("#try-denoise input[type=file]", tmp_path / name)
        live.wait_for_selector("#try-denoise.failed")
        said = live.inner_text("#try-denoise [role=status]")
        assert f"{name} is no image that this browser can read" in said
        assert "PNG, JPEG or WebP" in said
    change(live, "noise", 20)
    answer(live, "denoise")
    assert not live.query_selector("#try-denoise.failed")


def cut_png():
    return (FILES / "cat.png").read_bytes()[:60]


def test_nuclei_are_counted_as_python_counts_them(live, made, dlt, tmp_path):
    first = press_load(live, "nuclei")
    counts = {}
    for example in made["nuclei"]:
        live.click(f"#try-nuclei .examples >> text='{example['title']}'")
        change(live, "area", 20)
        counts[example["file"]] = shown(answer(live, "nuclei"), "")
    expected = {name: dlt.predict.nuclei(np.asarray(Image.open(FILES / name))).max() for name in counts}
    assert counts == expected
    assert shown(first, "") in counts.values()
    image = np.tile(np.asarray(Image.open(FILES / made["nuclei"][1]["file"])), (2, 2, 1))[:301, 7:200]
    Image.fromarray(image).save(tmp_path / "odd.png")
    live.set_input_files("#try-nuclei input[type=file]", tmp_path / "odd.png")
    change(live, "area", 5)
    assert shown(answer(live, "nuclei"), "") == dlt.predict.nuclei(image, min_area=5).max()


def test_the_watershed_is_that_of_python(live, dlt):
    """On clumps of random discs: the same number of objects, and the same pixels but where two basins meet."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:90, :120]
    for _ in range(5):
        discs = zip(rng.uniform(0, 90, 25), rng.uniform(0, 120, 25), rng.uniform(2, 11, 25), strict=True)
        depth = np.max([1 - np.hypot(y - a, x - b) / r for a, b, r in discs], axis=0).clip(0)
        maps = np.stack([depth > 0, depth], axis=-1).astype("float32")
        expected = dlt.predict.objects(maps, method="watershed", min_area=5)[..., 0]
        script = f"""async maps => {{
            const {{ objects }} = await import("{MODULES}/objects.js");
            const image = {{ data: Float32Array.from(maps), height: 90, width: 120, channels: 2 }};
            return [...objects(image, {{ minArea: 5 }}).labels];
        }}"""
        found = np.reshape(live.evaluate(script, maps.ravel().tolist()), depth.shape)
        assert found.max() == expected.max() > 5
        assert np.array_equal(found > 0, expected > 0)
        overlaps = [
            np.bincount(found[expected == i]).max() / np.sum(expected == i) for i in range(1, expected.max() + 1)
        ]
        assert min(overlaps) > 0.95


def test_objects_that_touch_never_share_a_colour(live):
    """On maps of random squares, side by side and corner to corner, and around one that touches forty others."""
    rng = np.random.default_rng(0)
    star = np.zeros((45, 45), int)
    star[1:-1, 1:-1] = 41
    star[0, :40] = np.arange(1, 41)
    tiles = [np.kron(rng.permutation(64).reshape(8, 8), np.ones((3, 3), int)) for _ in range(5)]
    for labels in (star, *tiles):
        script = f"""async ([labels, width]) => {{
            const {{ colourNumbers }} = await import("{MODULES}/picture.js");
            return colourNumbers(Int32Array.from(labels), width);
        }}"""
        numbers = np.array(live.evaluate(script, [labels.ravel().tolist(), labels.shape[1]]))
        assert len(numbers) == labels.max() + 1
        below, right = (labels[:-1], labels[1:]), (labels[:, :-1], labels[:, 1:])
        falling, rising = (labels[:-1, :-1], labels[1:, 1:]), (labels[:-1, 1:], labels[1:, :-1])
        for one, other in (below, right, falling, rising):
            touching = (one != other) & (one > 0) & (other > 0)
            assert np.all(numbers[one[touching]] != numbers[other[touching]])
        assert labels is star or numbers.max() <= 8  # one more than the neighbours of a tile


def test_the_map_of_nuclei_is_that_of_keras(live, dlt):
    """What is cut into nuclei afterwards: what the network sees and both channels of its answer, at an odd size."""
    image = dlt.data.nuclei_crops().images[5][:77, :101]
    expected = dlt.data.nuclei_view(image, color=True)
    script = f"""async ([height, width, data]) => {{
        const {{ nucleiView }} = await import("{MODULES}/objects.js");
        return [...nucleiView({{ height, width, channels: 3, data: Float32Array.from(data) }}).data];
    }}"""
    view = np.reshape(live.evaluate(script, [*image.shape[:2], image.ravel().tolist()]), image.shape)
    np.testing.assert_allclose(view, expected, atol=1e-5)
    (found,) = in_browser(live, "nuclei", [expected])
    model = dlt.models.create_nuclei_segmenter("unet", pretrained="nuclei")
    answer = dlt.predict.padded(model, expected[None])[0]
    assert np.ptp(answer, axis=(0, 1)).min() > 0.5
    np.testing.assert_allclose(found, answer, atol=1e-4)


@pytest.fixture(scope="module")
def carded(browser, site):
    """The page in a browser that has a graphics card, if only an imitated one."""
    flags = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
    with browser.browser_type.launch(executable_path=CHROMIUM, args=[*QUIET, *flags]) as other:
        context = other.new_context(viewport=DESK, base_url=site)
        context.set_default_timeout(120_000)
        page = opened_page(context, site)
        if not page.evaluate(f"async () => (await import('{MODULES}/network.js')).hasCard()"):
            pytest.skip(f"this browser imitates no graphics card for {' '.join(flags)}, or has no JSPI")
        yield page
        assert page.problems == []


def test_the_graphics_card_is_used_when_it_is_asked_for(carded, made, dlt, tmp_path):
    """Its build of the runtime and no other is loaded, only then; the decibels are those of Keras."""
    image = dlt.data.photos("astronaut")["astronaut"][100:113, 200:211]
    Image.fromarray(image).save(tmp_path / "small.png")
    carded.set_input_files("#try-denoise input[type=file]", tmp_path / "small.png")
    carded.wait_for_function("document.querySelector('#try-denoise canvas').width === 11")
    assert carded.locator("#try-denoise .with-card").is_visible()
    assert loaded(carded) == []
    runtime, network = made["runtimes"]["webgpu"], made["networks"]["denoiser_color"]
    carded.check("#try-denoise [name=card]")
    assert f"(WebGPU, {runtime['bytes'] / 1e6:.1f} MB)" in carded.inner_text("#try-denoise .with-card")
    size = f"({(runtime['bytes'] + network['bytes']) / 1e6:.1f} MB, once)"
    carded.wait_for_function(f"document.querySelector('#try-denoise .load').textContent.includes('{size}')")
    assert loaded(carded) == []
    carded.evaluate(WATCH, "try-denoise")
    text = press_load(carded, "denoise")
    assert loaded(carded) == sorted([network["file"], runtime["script"], runtime["wasm"]])
    steps = [value for word, value in carded.evaluate("window.steps") if word == "Loading"]
    assert steps == sorted(steps)
    assert len(set(steps)) >= 5
    assert steps[-1] == 1
    assert re.search(r"denoised in \d+ ms by WebGPU", carded.inner_text("#try-denoise [role=status]"))
    clean = image.astype("float32") / 255
    noise = carded.evaluate(f"async n => [...(await import('{MODULES}/picture.js')).normal(n)]", clean.size)
    given = (clean + 50 / 255 * np.reshape(noise, clean.shape)).astype("float32")
    decibels = -10 * np.log10(np.mean((dlt.predict.denoise(given) - clean) ** 2))
    assert shown(text, "denoised: ") == pytest.approx(decibels, abs=0.06)
    carded.uncheck("#try-denoise [name=card]")  # from now on without it: the network is there, its runtime is not
    size = f"({made['runtimes']['wasm']['bytes'] / 1e6:.1f} MB, once)"
    carded.wait_for_function(f"document.querySelector('#try-denoise .load').textContent.includes('{size}')")
    press_load(carded, "denoise")
    assert re.search(r"denoised in \d+ ms by WebAssembly", carded.inner_text("#try-denoise [role=status]"))
    assert loaded(carded).count(network["file"]) == 1
    assert carded.inner_text(".without-card") == ""


@pytest.mark.parametrize("network", ["denoiser_color", "faint_biased", "nuclei"])
def test_the_graphics_card_answers_what_keras_answers(carded, dlt, network):
    """One network of each kind, at an odd size; that it is not WebAssembly once more is seen in the last digits."""
    create = {
        "denoiser_color": lambda: dlt.models.create_denoiser(3, pretrained=True),
        "faint_biased": lambda: dlt.models.create_convunext_denoiser(pretrained="sigma_10", use_bias=True),
        "nuclei": lambda: dlt.models.create_nuclei_segmenter("unet", pretrained="nuclei"),
    }
    photo = dlt.data.photos("astronaut")["astronaut"][100:113, 200:211]
    image = noisy(photo[..., :1] if network == "faint_biased" else photo, 25)
    expected = dlt.predict.padded(create[network](), image[None])[0]
    (found,) = in_browser(carded, network, [image], "webgpu")
    (other,) = in_browser(carded, network, [image])
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert 0 < np.abs(found - other).max() < 1e-4


def test_no_graphics_card_is_offered_where_there_is_none(live):
    assert live.evaluate(f"async () => (await import('{MODULES}/network.js')).hasCard()") is False
    live.wait_for_timeout(300)
    assert live.locator(".with-card").evaluate_all("all => all.map(e => e.hidden)") == [True, True]


BROKEN = """
export const env = { wasm: {} };
export class Tensor {}
const run = async () => { throw new Error("the device is lost"); };
export const InferenceSession = { create: async () => ({ inputNames: ["x"], outputNames: ["y"], run }) };
"""


@pytest.mark.parametrize(("panel", "broken"), [("denoise", "session"), ("nuclei", "session"), ("denoise", "run")])
def test_a_graphics_card_that_fails_is_named_and_webassembly_computes(context, site, made, panel, broken):
    """A card that is no card, so that there is no session; or a session that fails when it runs."""
    page = opened_page(context, site, PRETENDED)
    if broken == "run":
        script = {"content_type": "text/javascript", "body": BROKEN}
        page.route(f"**/{made['runtimes']['webgpu']['script']}", lambda route: route.fulfill(**script))
    page.check(f"#try-{panel} [name=card]")
    assert loaded(page) == []
    press_load(page, panel)
    line = page.inner_text(f"#try-{panel} .without-card")
    assert line.startswith("WebGPU did not work, so WebAssembly computes. The reason: ")
    assert {"session": "no available backend", "run": "the device is lost"}[broken] in line
    assert re.search(r"in \d+ ms by WebAssembly", page.inner_text(f"#try-{panel} [role=status]"))
    assert not page.query_selector(f"#try-{panel}.failed")
    assert page.is_disabled(f"#try-{panel} [name=card]")
    assert not page.is_checked(f"#try-{panel} [name=card]")
    both = [name for device in made["runtimes"].values() for name in (device["script"], device["wasm"])]
    assert set(both) < set(loaded(page))
    assert page.problems == []
    page.close()


DROP = """([selector, name, data]) => {
    const dataTransfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
    dataTransfer.items.add(new File([bytes], name, { type: "image/png" }));
    const drag = (kind) => new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true });
    const target = document.querySelector(selector);
    return ["dragover", "drop"].map(kind => target.dispatchEvent(drag(kind)));
}"""


def drop(page, panel, path):
    """Drop a file on the pictures of a panel; return what the browser would still do by itself."""
    data = base64.b64encode(path.read_bytes()).decode()
    return page.evaluate(DROP, [f"#try-{panel} .pictures", path.name, data])


@pytest.mark.parametrize(("panel", "canvas"), [("denoise", "canvas.clean"), ("nuclei", "canvas")])
def test_a_file_is_dropped_on_the_page(context, site, tmp_path, panel, canvas):
    """It is shown and nothing is loaded for it; what is no image is named; the browser does not leave the page."""
    page = opened_page(context, site)
    pixels = np.random.default_rng(0).integers(0, 256, (23, 37, 3)).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    (tmp_path / "notes.png").write_bytes(b"not an image")
    assert drop(page, panel, tmp_path / "mine.png") == [False, False]
    page.wait_for_function(f"document.querySelector('#try-{panel} {canvas}').width === 37")
    script = "e => [...e.getContext('2d').getImageData(0, 0, e.width, e.height).data]"
    drawn = np.reshape(page.locator(f"#try-{panel} {canvas}").evaluate(script), (23, 37, 4))[..., :3]
    assert np.abs(drawn - pixels.astype(int)).max() <= 1
    assert not page.query_selector(f"#try-{panel} [aria-pressed=true]")
    drop(page, panel, tmp_path / "notes.png")
    page.wait_for_selector(f"#try-{panel}.failed")
    assert "notes.png is no image" in page.inner_text(f"#try-{panel} [role=status]")
    assert page.problems == []
    assert loaded(page) == []
    page.close()


WATCH = """id => {
    const [bar, status] = ["progress", "[role=status]"].map(e => document.querySelector(`#${id} ${e}`));
    window.steps = [];
    new MutationObserver(() => bar.hidden || window.steps.push([status.textContent.split(/\\W/)[0], bar.value]))
        .observe(bar, { attributes: true });
}"""


@pytest.mark.parametrize(("panel", "verb"), [("denoise", "Denoising"), ("nuclei", "Counting")])
def test_the_progress_bar_rises_to_its_end(context, site, tmp_path, panel, verb):
    """Piece by piece while files come, and tile by tile while the network runs; afterwards it is gone."""
    page = opened_page(context, site)
    photo = np.tile(np.asarray(Image.open(FILES / "tissue.png").convert("RGB")), (2, 5, 1))[:300, :700]
    Image.fromarray(photo).save(tmp_path / "wide.png")
    if panel == "denoise":
        page.select_option("[name=size]", "1024")
    page.set_input_files(f"#try-{panel} input[type=file]", tmp_path / "wide.png")
    page.wait_for_function(f"document.querySelector('#try-{panel} canvas').width === 700")
    page.evaluate(WATCH, f"try-{panel}")
    press_load(page, panel)
    steps = page.evaluate("window.steps")
    for phase, least in {"Loading": 5, verb: 2}.items():
        values = [value for word, value in steps if word == phase]
        assert len(set(values)) >= least, steps
        assert values == sorted(values)
        assert 0 < values[0] < 0.6
        assert values[-1] == 1
    assert page.locator(f"#try-{panel} progress").is_hidden()
    assert page.problems == []
    page.close()


@pytest.fixture(scope="module")
def answered(context, site):
    """The page on a phone, with an answer in both panels; one tried the graphics card and failed, one may still try."""
    page = opened_page(context, site, PRETENDED)
    page.set_viewport_size(PHONE)
    page.check("#try-denoise [name=card]")
    for panel in ("denoise", "nuclei"):
        press_load(page, panel)
    assert page.is_visible("#try-denoise .without-card")
    assert page.is_visible("#try-nuclei [name=card]")
    assert page.problems == []
    yield page
    page.close()


OVERFLOW = """() => [...document.querySelectorAll(".try-it, .try-it *")].filter(e => e.clientWidth).filter(e =>
    e.getBoundingClientRect().right > innerWidth - 8 || !e.matches("input, select") && e.scrollWidth > e.clientWidth + 1
).map(e => e.outerHTML.slice(0, 120))"""


def test_answers_fit_on_a_phone_and_are_large_enough_to_see(answered):
    layout = answered.evaluate(MEASURE)
    assert layout["width"] <= PHONE["width"], layout["too_wide"]
    assert answered.evaluate(OVERFLOW) == []
    widths = answered.evaluate("[...document.querySelectorAll('.try-it canvas')].map(e => e.clientWidth)")
    assert len(widths) == 5
    assert min(widths) >= 140
    set_width = "width => { document.querySelector('#try-nuclei .pictures').style.width = width; }"
    answered.evaluate(set_width, "400px")  # the control
    assert answered.evaluate(OVERFLOW) != []
    answered.evaluate(set_width, "")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_answers_and_failures_can_be_read_by_everybody(answered, theme, tmp_path):
    for size in (PHONE, DESK):
        answered.set_viewport_size(size)
        assert violations(answered, {"include": [[".try-it"]]}, theme) == {}
    (tmp_path / "notes.png").write_bytes(b"not an image")
    for panel in ("denoise", "nuclei"):
        answered.set_input_files(f"#try-{panel} input[type=file]", tmp_path / "notes.png")
        answered.wait_for_selector(f"#try-{panel}.failed")
    assert violations(answered, {"include": [[".try-it"]]}, theme) == {}
    style = "document.createElement('style')"  # the control: a message that is hardly there
    css = ".try-it.failed [role=status] { color: #8888 !important }"
    answered.evaluate(f"document.head.append(Object.assign({style}, {{ id: 'faint', textContent: '{css}' }}))")
    assert "color-contrast" in violations(answered, {"include": [[".try-it"]]}, theme)
    answered.evaluate("document.getElementById('faint').remove()")
    for panel, name in {"denoise": "a cat", "nuclei": "a crowd"}.items():
        answered.click(f"#try-{panel} .examples >> text='{name}'")
        answer(answered, panel)


FOCUS = """() => {
    const e = document.activeElement;
    const ring = getComputedStyle(e.closest(".file") || e);
    return [e.name || e.type + (e.className && "." + e.className), ring.outlineStyle !== "none"];
}"""


def test_everything_can_be_reached_and_done_by_keyboard(context, site, tmp_path):
    Image.new("RGB", (40, 30), "teal").save(tmp_path / "mine.png")
    page = opened_page(context, site, PRETENDED)
    page.wait_for_selector("#try-denoise [name=card]")
    page.on("filechooser", lambda chooser: chooser.set_files(tmp_path / "mine.png"))
    page.focus("#try-denoise .examples button")
    page.keyboard.press("Shift+Tab")
    reached = []
    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUS))
    names = ["button"] * 3 + ["file", "noise", "light", "network", "size", "card", "button.load"]
    assert reached == [[name, True] for name in names]
    page.keyboard.press("Enter")
    answer(page, "denoise")
    page.keyboard.press("Shift+Tab")  # the button is gone, and the focus is still where it was
    assert page.evaluate(FOCUS)[0] == "card"
    page.keyboard.press("Space")
    assert page.is_checked("#try-denoise [name=card]")
    page.keyboard.press("Space")
    answer(page, "denoise")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(FOCUS)[0] == "size"
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.querySelector('[name=size]').value === '512'")
    page.focus("#try-denoise .examples button:nth-child(2)")
    page.keyboard.press("Enter")
    page.wait_for_selector("#try-denoise .examples button:nth-child(2)[aria-pressed=true]")
    page.focus("#try-denoise input[type=file]")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#try-denoise canvas.clean').width === 40")
    page.focus("#try-nuclei .load")
    page.keyboard.press("Enter")
    before = shown(answer(page, "nuclei"), "")
    page.focus("[name=area]")
    page.keyboard.press("Control+A")
    page.keyboard.type("9999")
    page.keyboard.press("Enter")
    page.wait_for_function("/^0 nuclei/.test(document.querySelector('#try-nuclei figcaption').textContent)")
    assert before > 0
    assert page.problems == []
    page.close()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [(200, json.dumps({"missing": "no registry"}), "no registry"), (404, "", "make book")],
)
def test_a_build_without_the_networks_says_so(context, site, status, body, words):
    page = context.new_page()
    page.route("**/files.json", lambda route: route.fulfill(status=status, body=body))
    go(page, PAGE)
    for panel in ("denoise", "nuclei"):
        page.wait_for_function(f"/not in this build/.test(document.getElementById('try-{panel}').textContent)")
        assert words in page.inner_text(f"#try-{panel}")
    page.close()
