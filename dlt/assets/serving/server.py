"""A denoiser behind HTTP: an image in, a grey PNG without noise out.

Beside `denoiser.onnx`: uvicorn server:app
"""

import asyncio
import contextlib
import io
import os
import signal

import numpy as np
import onnxruntime
from fastapi import FastAPI, HTTPException, Request, Response
from PIL import Image, UnidentifiedImageError

MODEL = os.environ.get("MODEL", "denoiser.onnx")
BATCH = int(os.environ.get("BATCH", 1))  # images in one run
WAITING = int(os.environ.get("WAITING", 16))  # images that may wait
SIDE, BYTES = 1024, 4_000_000
if "SECONDS" in os.environ:  # the end of this process, whatever happens
    signal.alarm(int(os.environ["SECONDS"]))
Image.MAX_IMAGE_PIXELS = None  # SIDE is checked before a pixel is read
if min(BATCH, WAITING) < 1:  # asyncio.Queue(0) would have no bound
    message = "Expected BATCH and WAITING of at least 1. Received: "
    raise ValueError(f"{message}BATCH={BATCH}, WAITING={WAITING}.")


async def read(request):
    """Return the body; stop reading one that is too large."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BYTES:
            raise HTTPException(413, f"Expected at most {BYTES:,} bytes.")
    return body


def decode(body):
    """Return an image as floats of shape (height, width, 1)."""
    try:
        image = Image.open(io.BytesIO(body))  # reads the header only
        if max(image.size) > SIDE:
            message = f"Expected at most {SIDE} pixels a side. Received: "
            raise HTTPException(413, f"{message}{image.size}.")
        return np.asarray(image.convert("L"), "float32")[..., None] / 255
    except UnidentifiedImageError:
        message = f"Expected a PNG or JPEG image. Received: {len(body)} bytes"
        raise HTTPException(415, f"{message} that are none.") from None
    except (OSError, SyntaxError, ValueError) as error:
        message = f"The image cannot be read to its end: {error}."
        raise HTTPException(400, message) from None


def encode(image):
    """Return floats of shape (height, width, 1) as a PNG."""
    pixels = (255 * image[..., 0]).clip(0, 255).round().astype("uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


async def work(queue, session):
    """Run what waits, up to BATCH images at a time."""
    while True:
        jobs = [await queue.get()]
        while len(jobs) < BATCH and not queue.empty():
            jobs.append(queue.get_nowait())
        for shape in {image.shape for image, _ in jobs}:
            await run(session, [job for job in jobs if job[0].shape == shape])


async def run(session, jobs):
    """Give each of some images of one size its answer, or the error."""
    images, futures = zip(*jobs, strict=True)
    feed = {session.get_inputs()[0].name: np.stack(images)}
    try:
        answers = (await asyncio.to_thread(session.run, None, feed))[0]
    except Exception as error:
        answers = [error] * len(jobs)
    for future, answer in zip(futures, answers, strict=True):
        if not future.done():
            future.set_result(answer)


@contextlib.asynccontextmanager
async def life(app):
    """Have one worker for as long as the server lives."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(MODEL, options)
    app.state.queue = asyncio.Queue(WAITING)
    worker = asyncio.create_task(work(app.state.queue, session))
    yield
    worker.cancel()


app = FastAPI(lifespan=life)


@app.get("/health")
async def health():
    """Say that the server is alive, and how much it has to do."""
    return {"waiting": app.state.queue.qsize(), "at_most": WAITING}


@app.post("/denoise")
async def denoise(request: Request) -> Response:
    """Return the image in the body without its noise."""
    image = await asyncio.to_thread(decode, await read(request))
    future = asyncio.get_running_loop().create_future()
    try:
        app.state.queue.put_nowait((image, future))
    except asyncio.QueueFull:
        message = "Too many images are waiting. Try again in a second."
        raise HTTPException(503, message, {"Retry-After": "1"}) from None
    answer = await future
    if isinstance(answer, Exception):
        raise HTTPException(500, "The network failed on this image.")
    png = await asyncio.to_thread(encode, answer)
    return Response(png, media_type="image/png")
