"""QR codes, decoded again from what was rendered."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import httpx
import pytest
import zxingcpp
from PIL import Image

from gateway import qr
from tests.certificates.world import COFFEE, WATCH

TEXT = "https://scan.example/01/09521105000012/10/AL260318/21/A%2FB-0001"


@pytest.mark.parametrize("level", ["M", "Q"])
@pytest.mark.parametrize("size", [qr.MIN_SIZE, 200, qr.DEFAULT_SIZE, 777, qr.MAX_SIZE])
def test_a_rendered_png_reads_back(size: int, level: qr.Level) -> None:
    image = Image.open(io.BytesIO(qr.png(TEXT, size, level)))
    assert image.width == image.height <= size or size < 2 * image.width
    (found,) = zxingcpp.read_barcodes(image.convert("L"))
    assert found.text == TEXT
    assert found.ec_level == level


def test_the_quiet_zone_is_four_modules() -> None:
    """ISO/IEC 18004 §9.1: without it cheap phones do not find the code."""
    image = Image.open(io.BytesIO(qr.png(TEXT, 1000))).convert("L")
    rows = image.width
    first_dark = min(i for i in range(rows) if image.getpixel((i, rows // 2)) == 0)
    dark = [i for i in range(rows) if image.getpixel((i, first_dark + 1)) == 0]
    finder = next(i for i in range(first_dark, rows) if image.getpixel((i, first_dark)) != 0)
    module = (finder - first_dark) / 7
    assert dark[0] == first_dark
    assert first_dark == pytest.approx(4 * module)


def test_the_svg_has_its_size_and_no_script() -> None:
    root = ET.fromstring(qr.svg(TEXT, 240))
    assert float(root.attrib["width"]) == pytest.approx(240, abs=1)
    assert all(not element.tag.endswith("script") for element in root.iter())


@pytest.mark.parametrize("path", [COFFEE, WATCH])
def test_the_served_code_leads_to_the_page(client: httpx.Client, path: str) -> None:
    answer = client.get(f"/qr{path}.png", params={"size": 400, "ecc": "Q"})
    assert answer.headers["content-type"] == "image/png"
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(answer.content)).convert("L"))
    assert found.text == str(client.base_url).rstrip("/") + path
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/qr{COFFEE}.gif", 404),
        (f"/qr{COFFEE}", 404),
        ("/qr/01/123.svg", 400),
        (f"/qr{COFFEE}.svg?size=9999999", 422),
        (f"/qr{COFFEE}.svg?ecc=Z", 422),
    ],
)
def test_bad_requests_for_codes_are_refused(client: httpx.Client, path: str, status: int) -> None:
    assert client.get(path).status_code == status
