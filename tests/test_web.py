"""The page of `tfdeblur web`: what is behind it, the server as Gradio's own client sees it, and a real browser.

All of it needs the extra [web] (`pip install -e '.[web]'`). The browser's test is slow, and needs Selenium, Chromium
and its driver, too: `apt-get install chromium chromium-driver`, `pip install selenium`, and then
`python -m pytest -m slow tests/test_web.py`. It is skipped where one of them is missing.
"""

import base64
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import time
import urllib.parse
import zlib

import numpy as np
import pytest

import tfdeblur
from tfdeblur.cli.main import main
from tfdeblur.data.images import decode_photograph, read_image, write_image
from tfdeblur.data.photographs import photograph
from tfdeblur.errors import DeblurError

pytest.importorskip("gradio", reason="the page needs the extra [web]: pip install -e '.[web]'")

import httpx  # noqa: E402

from tfdeblur import web  # noqa: E402


class Negative:
    """Stands for a model: the negative of a photograph, after a while; counts how many work at once."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.working = self.most = 0

    def restore(self, image):
        self.working += 1
        self.most = max(self.most, self.working)
        time.sleep(self.seconds)
        self.working -= 1
        return 255 - image


class Same:
    def restore(self, image):
        return image


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Function of deblurrers -> the address of their page, closed after the test; files lie in tmp_path/served."""
    pages = []
    for name in ("GRADIO_TEMP_DIR", "NO_PROXY", "no_proxy"):  # as they were, afterwards
        monkeypatch.setenv(name, "")

    def start(deblurrers, max_megapixels=1.0):
        (tmp_path / "served").mkdir()
        pages.append(web.build(deblurrers, str(tmp_path / "served"), max_megapixels))
        return web.launch(pages[-1], "127.0.0.1", free_port(), max_megapixels)

    yield start
    for page in pages:
        page.close(verbose=False)


class Session:
    """What a page in a browser asks of the server; not Gradio's own client, which reports to Hugging Face."""

    def __init__(self, address):
        self.http = httpx.Client(base_url=f"{address}gradio_api/", trust_env=False, timeout=120)

    def upload(self, path):
        """The server's path of a file."""
        with open(path, "rb") as file:
            (there,) = self.http.post("upload", files={"files": file}).raise_for_status().json()
        return there

    def start(self, there, model):
        """Queues the photograph at the server's path `there`; returns the event's id."""
        photo = there and {"path": there, "meta": {"_type": "gradio.FileData"}}
        return self.http.post("call/deblur", json={"data": [photo, model]}).raise_for_status().json()["event_id"]

    def wait(self, event):
        """(before, after, name of the file to download), or the error's message."""
        *_, last = self.http.get(f"call/deblur/{event}").raise_for_status().text.strip().split("event: ")
        data = json.loads(last.split("data: ")[1])
        if last.startswith("error"):
            return data["error"]
        (before, after), button = data
        pictures = [
            decode_photograph(self.http.get(f"file={p['path']}").content, p["path"]).as_8_bit() for p in (before, after)
        ]
        return (*pictures, os.path.basename(button["value"]["path"]))

    def deblur(self, there, model):
        return self.wait(self.start(there, model))


def png_of_size(path, width, height):
    """A file that says that it is a PNG of this size, and holds no pixel."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    return str(path)


# ------------------------------------------------------------------------------------------ behind the page


def test_a_model_is_called_by_the_end_of_its_path_that_tells_it_from_the_others():
    paths = ["runs/a/mine", "runs/b/mine", "madn/"]
    assert list(web.short_names(paths).items()) == [
        ("a/mine", "runs/a/mine"),
        ("b/mine", "runs/b/mine"),
        ("madn", "madn/"),
    ]
    beside = ["two_way_half", "./two_way_half"]
    assert list(web.short_names(beside).values()) == beside and next(iter(web.short_names(beside))) == beside[0]
    with pytest.raises(DeblurError, match="--model=two_way_half: named twice"):
        web.short_names([beside[0], beside[0]])
    with pytest.raises(DeblurError, match="--model=madn: named twice"):
        web.short_names(["madn", "runs/../madn"])


@pytest.mark.parametrize("width, height, fits", [(1000, 1000, True), (1001, 1000, False), (16000, 16000, False)])
def test_the_bound_is_read_from_the_header(tmp_path, width, height, fits):
    path = png_of_size(tmp_path / "p.png", width, height)  # decoding it would fail: there is nothing to decode
    if fits:
        web.check(path, 1.0)
    else:
        with pytest.raises(DeblurError, match=r"^p\.png: .* the 1 megapixels that this page takes") as caught:
            web.check(path, 1.0)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp"])
def test_every_format_is_bounded(tmp_path, suffix):
    path = str(tmp_path / f"p.{suffix}")
    write_image(path, np.zeros((30, 40, 3), np.uint8))
    web.check(path, 0.0012)
    with pytest.raises(DeblurError, match="40x30 is more than the 0.0011 megapixels"):
        web.check(path, 0.0011)


@pytest.mark.parametrize("data", [b"", b"not an image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_what_is_no_image_is_told_in_one_line(tmp_path, data):
    (tmp_path / "p.png").write_bytes(data)
    with pytest.raises(DeblurError, match=r"^p\.png: not an image that can be read; use PNG, JPEG"):
        web.restore(Negative(), str(tmp_path / "p.png"), str(tmp_path), 1.0)


def test_a_damaged_photograph_is_named_as_it_was_uploaded(tmp_path):
    path = tmp_path / "cut off.png"
    write_image(str(path), photograph("chelsea.png"))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DeblurError, match=r"^cut off\.png: the file is cut off"):  # no path of the server's
        web.restore(Negative(), str(path), str(tmp_path), 1.0)


def variants():
    """{file name: its bytes}: kinds of photographs that decoders differ in."""
    import io

    from PIL import Image

    colour = Image.fromarray(photograph("chelsea.png")[:60, :90])
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 90 degrees
    deep = np.arange(60 * 90, dtype=np.uint16).reshape(60, 90) * 12
    images = {
        "turned.jpg": (colour, {"exif": turned, "quality": 90}),
        "grey.png": (colour.convert("L"), {}),
        "alpha.png": (colour.convert("RGBA"), {}),
        "palette.png": (colour.convert("P"), {}),
        "deep.png": (Image.fromarray(deep), {}),
        "one.png": (colour.crop((0, 0, 1, 1)), {}),
        "lossy.webp": (colour, {"quality": 80}),
        "page.tif": (colour, {}),
    }
    files = {}
    for name, (image, options) in images.items():
        buffer = io.BytesIO()
        image.save(buffer, {"jpg": "JPEG", "tif": "TIFF"}.get(name[-3:], name.split(".")[1]), **options)
        files[name] = buffer.getvalue()
    return files


def test_the_file_is_the_one_that_deblur_writes(tmp_path, exported_run):
    """Byte for byte, for every kind of photograph; the picture beside it is what was read, at full size."""
    inputs = tmp_path / "in"
    inputs.mkdir()
    for name, data in variants().items():
        (inputs / name).write_bytes(data)
    assert main(["deblur", str(inputs), "--model", str(exported_run), "--out", str(tmp_path / "out")]) == 0
    deblurrer = tfdeblur.load(exported_run)
    for name in variants():
        before, after = web.restore(deblurrer, str(inputs / name), str(tmp_path), 1.0)
        stem = name.split(".")[0]
        assert os.path.basename(after) == f"{stem}_deblurred.png"
        assert pathlib.Path(after).read_bytes() == (tmp_path / "out" / f"{stem}.png").read_bytes(), name
        np.testing.assert_array_equal(read_image(before), read_image(inputs / name), err_msg=name)


def test_examples_are_photographs_that_need_no_download(tmp_path):
    paths = web.write_examples(str(tmp_path / "examples"))
    assert [os.path.basename(p) for p in paths] == ["chelsea_shaken.png", "coffee_shaken.png", "clock_motion.png"]
    shaken, sharp = read_image(paths[0]), photograph("chelsea.png")
    assert shaken.shape == sharp.shape
    assert np.abs(np.diff(shaken.astype(int), axis=1)).mean() < 0.6 * np.abs(np.diff(sharp.astype(int), axis=1)).mean()
    np.testing.assert_array_equal(read_image(paths[2]), photograph("clock_motion.png"))


# ------------------------------------------------------------------------------------------ the server


def test_a_session_gets_its_result(serve, tmp_path):
    user = Session(serve({"same": Same(), "negative": Negative()}))
    image = photograph("chelsea.png")
    write_image(str(tmp_path / "my photo.png"), image)
    before, after, name = user.deblur(user.upload(tmp_path / "my photo.png"), "negative")
    np.testing.assert_array_equal(before, image)
    np.testing.assert_array_equal(after, 255 - image)
    assert name == "my photo_deblurred.png"


def test_errors_are_lines(serve, tmp_path):
    user = Session(serve({"negative": Negative()}))
    (tmp_path / "notes.png").write_text("no image")
    for there, message in (
        (
            user.upload(tmp_path / "notes.png"),
            "notes.png: not an image that can be read; use PNG, JPEG, WebP, TIFF or BMP",
        ),
        (
            user.upload(png_of_size(tmp_path / "large.png", 2000, 1000)),
            "large.png: 2000x1000 is more than the 1 megapixels that this page takes; make it smaller, or restore it "
            "with `tfdeblur deblur`",
        ),
        (None, "no photograph yet; drop or paste one"),
        ("http://192.0.2.1/p.png", "addresses are not fetched; upload the file"),
    ):
        assert user.deblur(there, "negative") == message


def test_a_photograph_that_was_deleted_in_the_meantime_is_told(serve, tmp_path):
    user = Session(serve({"negative": Negative()}))
    write_image(str(tmp_path / "p.png"), np.zeros((20, 30, 3), np.uint8))
    there = user.upload(tmp_path / "p.png")
    os.remove(there)
    assert user.deblur(there, "negative") == "the photograph is deleted already; upload it again"


def test_files_of_the_server_are_not_opened(serve, tmp_path):
    """Gradio's own guard, which a page has that is launched and not mounted."""
    user = Session(serve({"negative": Negative()}))
    write_image(str(tmp_path / "private.png"), np.zeros((20, 30, 3), np.uint8))
    assert user.deblur(str(tmp_path / "private.png"), "negative") is None  # an error without a message
    assert not list((tmp_path / "served").rglob("*private*"))
    assert user.http.get(f"file={tmp_path}/private.png").status_code == 403


def test_what_is_larger_than_the_bound_could_be_is_not_stored(serve, tmp_path):
    user = Session(serve({"negative": Negative()}, max_megapixels=0.01))
    (tmp_path / "p.png").write_bytes(bytes(100_001))
    with open(tmp_path / "p.png", "rb") as file:
        refused = user.http.post("upload", files={"files": file})
    assert refused.status_code == 413 and "maximum allowed size" in refused.text
    assert not list((tmp_path / "served").rglob("p.png"))


def test_two_sessions_at_once_wait_for_each_other_and_both_get_theirs(serve, tmp_path):
    slow = Negative(seconds=1.0)
    address = serve({"a": slow, "b": slow})
    events = []
    for number, name in enumerate("ab"):
        write_image(str(tmp_path / f"{name}.png"), np.full((20, 30 + number, 3), 10 * number, np.uint8))
        user = Session(address)
        events.append((user, user.start(user.upload(tmp_path / f"{name}.png"), name)))
    for number, (user, event) in enumerate(events):
        _, after, name = user.wait(event)
        np.testing.assert_array_equal(after, np.full((20, 30 + number, 3), 255 - 10 * number, np.uint8))
        assert name == "ab"[number] + "_deblurred.png"
    assert slow.most == 1


def test_uploads_and_results_are_deleted_after_a_while_and_examples_stay(serve, tmp_path, monkeypatch):
    def files():
        return {str(path) for path in (tmp_path / "served").rglob("*") if path.is_file()}

    monkeypatch.setattr(web, "KEPT_SECONDS", 2)
    monkeypatch.setattr(web, "_SWEPT_EVERY", 1)
    user = Session(serve({"negative": Negative()}))
    examples = files()
    assert {os.path.basename(path) for path in examples} == {
        "chelsea_shaken.png",
        "coffee_shaken.png",
        "clock_motion.png",
    }
    write_image(str(tmp_path / "p.png"), np.zeros((20, 30, 3), np.uint8))
    (tmp_path / "notes.png").write_text("no image")
    user.deblur(user.upload(tmp_path / "p.png"), "negative")
    user.deblur(user.upload(tmp_path / "notes.png"), "negative")
    assert {os.path.basename(path) for path in files() - examples} == {
        "p.png",
        "p_before.png",
        "p_deblurred.png",
        "notes.png",
    }
    example = next(path for path in examples if "coffee" in path)
    _, _, name = user.deblur(example, "negative")
    assert name == "coffee_shaken_deblurred.png"
    deadline = time.time() + 20
    while files() != examples and time.time() < deadline:
        time.sleep(0.2)
    assert files() == examples


def test_nothing_is_asked_of_other_machines(serve, tmp_path, monkeypatch):
    """Neither while the page is built and served, nor by what its HTML names."""
    asked = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def watched_connect(self, address):
        asked.append(address[0] if isinstance(address, tuple) else "local")
        return connect(self, address)

    def watched_look_up(host, *args, **keywords):
        asked.append(host)
        return look_up(host, *args, **keywords)

    monkeypatch.setattr(socket.socket, "connect", watched_connect)
    monkeypatch.setattr(socket, "getaddrinfo", watched_look_up)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://192.0.2.1:9")
    address = serve({"negative": Negative()})
    user = Session(address)
    write_image(str(tmp_path / "p.png"), np.zeros((20, 30, 3), np.uint8))
    assert len(user.deblur(user.upload(tmp_path / "p.png"), "negative")) == 3
    assert {"127.0.0.1"} <= set(asked) <= {"127.0.0.1", "local"}


def test_an_address_that_is_taken_or_foreign_is_told_before_a_model_is_loaded():
    def load():
        raise AssertionError("loaded")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DeblurError, match=f"^--port={port}: is in use; choose another one$"):
            web.serve(load, "127.0.0.1", port, 1.0)
    for host in ("192.0.2.1", "no such name"):
        with pytest.raises(DeblurError, match=f"^--host={host}: no address of this machine"):
            web.serve(load, host, port, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_at_once_and_leaves_no_file(tmp_path, number):
    """While a photograph is being restored, which nobody can stop."""
    port = free_port()
    program = f"""
        import signal, sys, time
        from tfdeblur import web

        class Slow:
            def restore(self, image):
                print("\\nat work", file=sys.stderr, flush=True)
                time.sleep(100)

        signal.signal(signal.SIGINT, signal.default_int_handler)
        web.serve(lambda: {{"slow": Slow()}}, "127.0.0.1", {port}, 1.0)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        lines = []
        while not lines or "open http" not in lines[-1]:
            lines.append(process.stderr.readline())
            assert lines[-1], "".join(lines)
        assert f"open http://127.0.0.1:{port}/ in a browser" in lines[-1]
        write_image(str(tmp_path / "p.png"), np.zeros((20, 30, 3), np.uint8))
        user = Session(f"http://127.0.0.1:{port}/")
        user.start(user.upload(tmp_path / "p.png"), "slow")
        while process.stderr.readline() != "at work\n":
            pass
        assert len(list(tmp_path.glob("tfdeblur-web-*"))) == 1
        process.send_signal(number)
        said = process.communicate(timeout=20)[1]
    finally:
        process.kill()
    assert process.returncode == 0
    assert said.splitlines()[-1] == "ended; uploads and results are deleted"
    assert "Traceback" not in said
    assert not list(tmp_path.glob("tfdeblur-web-*"))


# ------------------------------------------------------------------------------------------ in a browser


class Page:
    """A Chromium on the page, by what a person sees of it."""

    def __init__(self, driver, address):
        self.driver = driver
        self.address = address

    def open(self):
        self.driver.get(self.address)
        self.until(lambda: self.find("#photograph input[type=file]"), "the page")

    def find(self, selector, text=None):
        """The visible elements of a CSS selector, of those the ones whose text starts with `text`."""
        found = self.driver.find_elements("css selector", selector)
        return [element for element in found if text is None or element.text.strip().startswith(text)]

    def until(self, condition, what, seconds=60):
        deadline = time.time() + seconds
        while time.time() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.1)
        raise AssertionError(f"no {what} after {seconds} s")

    def upload(self, path):
        self.find("#photograph input[type=file]")[0].send_keys(str(path))
        self.shows(os.path.basename(path))

    def hand_over(self, event, path):
        """Drops or pastes a file, as the browser would tell the page of it."""
        script = """
            const [event, name, encoded] = arguments;
            const data = new DataTransfer();
            const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
            data.items.add(new File([bytes], name, {type: "image/png"}));
            const options = {bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data};
            const kind = event === "paste" ? ClipboardEvent : DragEvent;
            const target = event === "paste" ? "body" : "#photograph button:has(input[type=file])";
            document.querySelector(target).dispatchEvent(new kind(event, options));
        """
        encoded = base64.b64encode(path.read_bytes()).decode()
        self.driver.execute_script(script, event, path.name, encoded)
        self.shows(path.name)

    def shows(self, name):
        quoted = urllib.parse.quote(name)
        self.until(lambda: self.find(f"#photograph img[src$='{quoted}']"), f"preview of {name}")

    def remove(self):
        self.find("#photograph button[aria-label='Remove Image']")[0].click()
        self.until(lambda: self.find("#photograph input[type=file]"), "place for another photograph")

    def choose(self, model):
        self.find("input[role=listbox], input[aria-label=Model]")[0].click()
        self.until(lambda: self.find("[role=option]", model), "list of models")[0].click()

    def deblur(self):
        self.find("button", "Deblur")[0].click()

    def download(self):
        """The button, where it offers a result; else None."""
        offered = [button for button in self.find("button", "Download") if "_deblurred.png" in button.text]
        return offered[0] if offered else None

    def result(self, name):
        """[(width, height, bytes)] of the two pictures under the slider, once the file `name` is offered."""
        self.until(lambda: self.find("button", f"Download {name}"), f"result {name}")
        pictures = self.until(
            lambda: [i for i in self.find("img[data-testid=imageslider-image]") if i.get_property("naturalWidth")],
            "pictures",
        )
        return [
            (*(i.get_property(side) for side in ("naturalWidth", "naturalHeight")), self.fetch(i.get_property("src")))
            for i in pictures
        ]

    def fetch(self, address):
        return httpx.get(address, trust_env=False).raise_for_status().content

    def requests(self):
        """The addresses that the page has asked for, from its start."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return {p["request"]["url"] for p in sent if p["documentURL"].startswith(self.address)}


@pytest.fixture
def browse(tmp_path):
    """Function of an address -> its Page in a headless Chromium, whose downloads go to tmp_path/downloads."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs Selenium: pip install selenium")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs Chromium and its driver on the PATH: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-proxy-server",
        "--window-size=1280,1400",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path / "downloads")})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield lambda address: Page(chrome, address)
    chrome.quit()


@pytest.mark.slow
def test_in_a_browser(serve, browse, tmp_path, exported_run):
    """Upload, choose, wait, slide, download: the file is the one that `deblur` writes; no other machine is asked."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    image, out = photograph("chelsea.png"), tmp_path / "out"
    write_image(str(tmp_path / "cat photo.jpg"), image)
    assert main(["deblur", str(tmp_path / "cat photo.jpg"), "--model", str(exported_run), "--out", str(out)]) == 0

    page = browse(serve({"negative": Negative(), "tiny": tfdeblur.load(exported_run)}))
    page.open()
    page.upload(tmp_path / "cat photo.jpg")
    page.choose("tiny")
    page.deblur()
    before, after = page.result("cat photo_deblurred.png")
    assert before[:2] == after[:2] == (451, 300)  # all pixels
    read = read_image(tmp_path / "cat photo.jpg")
    np.testing.assert_array_equal(decode_photograph(before[2], "before").as_8_bit(), read)
    assert after[2] == (out / "cat photo.png").read_bytes()

    handle, shown = page.find("[data-testid=slider]")[0], page.find("img[data-testid=imageslider-image]")[1]
    width = shown.rect["width"]

    def cut():
        """How much of the restored picture is hidden, on its left side."""
        return float(re.search(r"([\d.]+)%\)", shown.get_attribute("style"))[1])

    assert cut() == pytest.approx(50, abs=1)
    ActionChains(page.driver).drag_and_drop_by_offset(handle, int(width / 4), 0).perform()
    page.until(lambda: abs(cut() - 75) < 2, "slider at three quarters")
    assert "scale(1)" in shown.get_attribute("style")
    ActionChains(page.driver).scroll_from_origin(ScrollOrigin.from_element(shown), 0, -300).perform()
    page.until(lambda: "scale(1)" not in shown.get_attribute("style"), "zoom by the wheel")

    page.download().click()
    downloaded = tmp_path / "downloads" / "cat photo_deblurred.png"
    page.until(downloaded.exists, "download")
    assert downloaded.read_bytes() == (out / "cat photo.png").read_bytes()
    asked = {address for address in page.requests() if not address.startswith(("data:", "blob:"))}
    assert len(asked) > 10
    assert {address for address in asked if not address.startswith(page.address)} == set()


@pytest.mark.slow
def test_a_photograph_is_dropped_chosen_or_pasted_and_errors_are_shown(serve, browse, tmp_path):
    page = browse(serve({"negative": Negative()}))
    page.open()
    for name, value in (("dropped.png", 10), ("pasted.png", 20), ("again.png", 30)):
        write_image(str(tmp_path / name), np.full((30, 40, 3), value, np.uint8))
    page.hand_over("drop", tmp_path / "dropped.png")
    page.find("img[src$='examples/clock_motion.png']")[0].click()
    page.shows("clock_motion.png")
    page.deblur()
    _, after = page.result("clock_motion_deblurred.png")
    np.testing.assert_array_equal(decode_photograph(after[2], "after").as_8_bit(), 255 - photograph("clock_motion.png"))
    for name, value in (("pasted.png", 20), ("again.png", 30)):  # each in the place of the one before
        page.hand_over("paste", tmp_path / name)
        page.deblur()
        _, after = page.result(f"{name[:-4]}_deblurred.png")
        assert after[:2] == (40, 30)
        assert (decode_photograph(after[2], "after").as_8_bit() == 255 - value).all()
    page.remove()
    page.until(lambda: not page.download(), "end of the old result")

    (tmp_path / "notes.png").write_text("no image")
    page.upload(tmp_path / "notes.png")
    page.deblur()
    message = "notes.png: not an image that can be read; use PNG, JPEG, WebP, TIFF or BMP"
    page.until(lambda: message in page.find("body")[0].text, "message")


@pytest.mark.slow
def test_who_waits_sees_the_place_in_the_queue(serve, browse, tmp_path):
    page = browse(serve({"negative": Negative(seconds=6)}))
    windows = []
    for number in range(2):
        write_image(str(tmp_path / f"{number}.png"), np.full((30, 40, 3), number, np.uint8))
        page.driver.switch_to.new_window("window")
        windows.append(page.driver.current_window_handle)
        page.open()
        page.upload(tmp_path / f"{number}.png")
        page.deblur()
    page.until(lambda: "queue: 1/1" in page.find("body")[0].text, "place in the queue")
    for number, window in enumerate(windows):
        page.driver.switch_to.window(window)
        _, after = page.result(f"{number}_deblurred.png")
        assert (decode_photograph(after[2], "after").as_8_bit() == 255 - number).all()
