"""The page of `tfdeblur web`: a photograph in, before and after under a slider, the result as a file.

Gradio serves it (the extra [web]). Nothing is asked of other machines, neither by the server nor by the page, and
what was uploaded is deleted.
"""

import contextlib
import errno
import html
import os
import pathlib
import signal
import socket
import tempfile
import threading
import warnings

from tfdeblur import pretrained, runner
from tfdeblur.data.images import read_image, write_image
from tfdeblur.data.photographs import REAL_BLUR, TEST, photograph
from tfdeblur.data.shake import Shake, blur, generator, random_kernel
from tfdeblur.errors import DeblurError

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
try:
    import gradio as gr
except ImportError as missing:
    raise DeblurError(f"the page needs Gradio ({missing}); pip install 'tfdeblur[web]'") from missing

KEPT_SECONDS = 3600  # how long uploads and results lie on the disk
_SWEPT_EVERY = 300
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")  # PIL's names of data.images.IMAGE_SUFFIXES
_BYTES_PER_PIXEL = 10  # 16-bit RGBA that does not compress, and what cameras write around it
# Gradio pastes by a button alone, and only on pages of https or of this machine: this is Ctrl+V, everywhere.
_PASTE = """
() => document.addEventListener("paste", (event) => {
  if (!event.clipboardData.files.length) return;
  const pasted = new DataTransfer();
  pasted.items.add(event.clipboardData.files[0]);
  document.querySelector("#photograph button[aria-label='Remove Image']")?.click();
  const hand_over = () => {
    const input = document.querySelector("#photograph input[type=file]");
    if (!input) return setTimeout(hand_over, 50);
    input.files = pasted.files;
    input.dispatchEvent(new Event("change", {bubbles: true}));
  };
  hand_over();
})
"""
_EXAMPLE_SHAKE = Shake(length=(12.0, 20.0), angle=(-20.0, 20.0))  # the family of the embedded trainings


# ------------------------------------------------------------------------------------------ behind the page


def short_names(paths):
    """{the end of each path that tells it from the others: path}, in the order of `paths`.

    ["runs/a/mine", "runs/b/mine", "madn"] -> a/mine, b/mine, madn. DeblurError where one path comes twice.
    """
    # The name of weights that come along is a path of its own: nothing lies above it.
    parts = [("", path) if path in pretrained.names() else pathlib.Path(os.path.abspath(path)).parts for path in paths]
    named = {}
    for path, own in zip(paths, parts, strict=True):
        if parts.count(own) > 1:
            raise DeblurError(f"--model={path}: named twice; name it once")
        # The shortest end that no other path has: one path cannot be the end of another, as all are absolute.
        ends = (
            str(pathlib.Path(*own[-n:])) for n in range(1, len(own) + 1) if sum(p[-n:] == own[-n:] for p in parts) == 1
        )
        named[next(ends)] = path
    return named


def check(path, max_megapixels):
    """DeblurError for a file that is no image or is larger than the bound; reads its header, decodes nothing."""
    from PIL import Image

    name = os.path.basename(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PIL's own bound: a warning, then an error
            with Image.open(path, formats=_FORMATS) as image:
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise DeblurError(f"{name}: far more than the {max_megapixels:g} megapixels that this page takes") from error
    except Exception as error:  # PIL has many kinds
        raise DeblurError(f"{name}: not an image that can be read; use PNG, JPEG, WebP, TIFF or BMP") from error
    if width * height > max_megapixels * 1e6:
        raise DeblurError(
            f"{name}: {width}x{height} is more than the {max_megapixels:g} megapixels that this page takes; "
            "make it smaller, or restore it with `tfdeblur deblur`"
        )


def restore(deblurrer, path, folder, max_megapixels):
    """Restores the photograph in the file `path` as `tfdeblur deblur` does.

    Returns:
      Paths of two PNG files in a new folder below `folder`: the photograph as it was read, and <name>_deblurred.png.

    Raises:
      DeblurError: no image, too large, damaged, or too large for the memory.
    """
    check(path, max_megapixels)
    name, stem = os.path.basename(path), pathlib.Path(path).stem
    folder = tempfile.mkdtemp(dir=folder)
    before, after = os.path.join(folder, f"{stem}_before.png"), os.path.join(folder, f"{stem}_deblurred.png")
    # The command's own function, so that its file and this one cannot differ.
    for line in runner.deblur_files(deblurrer, [(path, after)]):
        raise DeblurError(line.replace(path, name))
    # Not the upload itself: a browser would apply its colour profile, and knows no TIFF.
    write_image(before, read_image(path))
    return before, after


def write_examples(folder):
    """Writes PNG files into the folder: held-out photographs under made-up shake, and one that was really shaken.

    Returns their paths.
    """
    os.makedirs(folder, exist_ok=True)
    images = {}
    for number, name in enumerate(TEST):
        kernel = random_kernel(generator(number), _EXAMPLE_SHAKE)
        images[f"{pathlib.Path(name).stem}_shaken.png"] = blur(photograph(name), kernel)
    images |= {name: photograph(name) for name in REAL_BLUR}
    paths = {os.path.join(folder, name): image for name, image in images.items()}
    for path, image in paths.items():
        write_image(path, image)
    return list(paths)


# ------------------------------------------------------------------------------------------ the page


def build(deblurrers, folder, max_megapixels):
    """The page.

    Args:
      deblurrers: {name to choose by: Deblurrer}.
      folder: where uploads and results are to lie; Gradio's folder for temporary files from now on.
      max_megapixels: the largest photograph.

    Returns:
      gradio.Blocks. Its one function, `deblur` in Gradio's API, takes one photograph at a time; others queue.
    """
    names = list(deblurrers)
    os.environ["GRADIO_TEMP_DIR"] = folder

    def deblur(photo, name):
        if not photo:
            raise _shown("no photograph yet; drop or paste one")
        if not os.path.exists(photo["path"]):
            raise _shown("the photograph is deleted already; upload it again")
        try:
            before, after = restore(deblurrers[name], photo["path"], folder, max_megapixels)
        except DeblurError as error:
            raise _shown(error) from error
        return (before, after), gr.DownloadButton(f"Download {os.path.basename(after)}", value=after, interactive=True)

    # Gradio deletes what is older than the second number, looking every first number of seconds.
    with gr.Blocks(title="tfdeblur", analytics_enabled=False, delete_cache=(_SWEPT_EVERY, KEPT_SECONDS)) as page:
        gr.Markdown("# tfdeblur")
        with gr.Row():
            with gr.Column():
                picture = gr.Image(
                    label=f"Photograph, up to {max_megapixels:g} megapixels: drop, paste or choose it",
                    sources=["upload", "clipboard"],
                    height=320,
                    elem_id="photograph",
                )
                _refuse_addresses(picture)
            with gr.Column():
                model = gr.Dropdown(names, value=names[0], label="Model", interactive=len(names) > 1)
                start = gr.Button("Deblur", variant="primary")
                empty = gr.DownloadButton("Download", interactive=False)
                paths = write_examples(os.path.join(folder, "examples"))
                examples = gr.Dataset(
                    components=[picture], samples=[[p] for p in paths], type="index", label="Examples"
                )
        slider = gr.ImageSlider(
            label="Before and after; turn the wheel to zoom", max_height=800, interactive=False, buttons=["fullscreen"]
        )
        gr.Markdown(
            "A photograph is sent to the machine that runs this page and to no other; it is deleted there after "
            f"{KEPT_SECONDS // 60} minutes. The downloaded file has every pixel: it is the one that `tfdeblur deblur` "
            "writes."
        )
        results = [slider, empty]
        start.click(
            deblur,
            [picture, model],
            results,
            # The file as it was uploaded: gr.Image would open it, and encode many again.
            preprocess=False,
            api_name="deblur",
            concurrency_limit=1,
            show_progress_on=slider,
        )
        # Not gr.Examples: it makes the picture anew for a session, without what _refuse_addresses did to it.
        examples.click(paths.__getitem__, examples, picture, queue=False, api_visibility="private")
        # An old result beside a new photograph would mislead.
        picture.change(
            lambda: (None, gr.DownloadButton("Download", value=None, interactive=False)),
            outputs=results,
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
    return page


def _refuse_addresses(picture):
    """Keeps the server from fetching http://..., which Gradio does where one is sent in place of an upload."""
    # Not a subclass: Gradio writes a .pyi file beside the source of those.
    cache = picture.async_move_resource_to_block_cache

    async def cache_file(path):
        if str(path).lower().startswith(("http:", "https:")):
            raise _shown("addresses are not fetched; upload the file")
        return await cache(path)

    picture.async_move_resource_to_block_cache = cache_file


def _shown(error):
    """A line for the person at the page; Gradio takes it for HTML."""
    return gr.Error(html.escape(str(error), quote=False), duration=30, print_exception=False)


# ------------------------------------------------------------------------------------------ the server


def serve(load_deblurrers, host, port, max_megapixels):
    """Serves the page until SIGINT or SIGTERM, deletes all that was uploaded, and ends the process with 0.

    Args:
      load_deblurrers: () -> what `build` takes; called when the address is known to be free.
      host, port: the address.
      max_megapixels: see `build`.

    Raises:
      DeblurError: the address cannot be taken, or what `load_deblurrers` raises.
    """
    check_address(host, port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="tfdeblur-web-", ignore_cleanup_errors=True) as folder:
        address = launch(build(load_deblurrers(), folder, max_megapixels), host, port, max_megapixels)
        if host not in ("127.0.0.1", "localhost", "::1"):
            runner.say(f"--host={host}: whoever reaches this address may use the page; there is no password")
        runner.say(f"open {address} in a browser; Ctrl-C ends it")
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
        for interrupt in (signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C would leave files behind
            signal.signal(interrupt, signal.SIG_IGN)
    runner.say("ended; uploads and results are deleted")
    # Not by returning: what a thread still restores has nobody to go to, and the interpreter would wait for it.
    os._exit(0)


def check_address(host, port):
    """DeblurError where the address cannot be listened on."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
    except socket.gaierror as error:
        raise DeblurError(f"--host={host}: no address of this machine ({error.strerror}); try 127.0.0.1") from error
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise DeblurError(f"--host={host}: no address of this machine; try 127.0.0.1") from error
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be listened on ({error.strerror})"
        raise DeblurError(f"--port={port}: {reason}; choose another one") from error


def launch(page, host, port, max_megapixels):
    """Starts to serve the page of `build`, in threads; returns the address for a browser."""
    # Gradio asks its own server whether it has started, and would ask by way of a proxy.
    around = [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "localhost", "127.0.0.1", host]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, around))
    # What could be set by GRADIO_* variables is said here: nothing of it may lead outside.
    try:
        _, address, _ = page.launch(
            server_name=f"[{host}]" if ":" in host else host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            inbrowser=False,
            ssr_mode=False,
            mcp_server=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=[],
            js=_PASTE,
            max_file_size=int(max_megapixels * 1e6 * _BYTES_PER_PIXEL),
        )
    except OSError as error:
        raise DeblurError(f"--port={port}: the page does not start there; choose another one") from error
    return address
