"""The page of `archstat report` in Chromium: quiet, alone, true to its data, and usable."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise

import pytest
from torch import nn

import archstat

pytestmark = pytest.mark.browser

HOSTILE = "</script><img src=x onerror=alert(1)><b>"
PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")


class Odd(nn.Module):
    """A network with a name that nobody should give."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module(HOSTILE.replace(".", ""), nn.Conv2d(3, 4, 3))

    def forward(self, x):
        return next(self.children())(x)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if PROGRAM is None:
        pytest.skip("no chromium")
    with playwright.sync_playwright() as engine:
        program = engine.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        yield program
        program.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    table = folder / "own.csv"
    table.write_text(
        f"model,top1,<i>{HOSTILE}\nresnet18,69.8,1\nmobilenet_v1,56.5,2\n{HOSTILE},50,3\n"
    )
    odd = {"resnet18": "resnet18", "mobilenet_v1": "mobilenet_v1", HOSTILE: Odd()}
    archstat.report("resnet18", device="a100-40gb", output=folder / "one.html")
    archstat.report(odd, (3, 224, 224), join=table, output=folder / "three.html")
    return folder


@pytest.fixture
def opened(browser, files):
    """How a page is opened; at the end nothing may have been asked for, or complained of."""
    complaints, contexts = [], []

    def opened(name, width=1024, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto((files / name).as_uri())
        page.on("request", lambda asked: complaints.append(asked.url))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [one for one in complaints if not one.startswith("blob:")] == []


def rows(page, table):
    """The texts of the rows that are seen."""
    return page.eval_on_selector_all(
        f"table[data-t='{table}'] tbody tr:not([hidden])",
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))",
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1024, 1920])
@pytest.mark.parametrize("name", ["one.html", "three.html"])
def test_page_is_as_wide_as_the_window_and_can_be_read(opened, name, width, scheme):
    page = opened(name, width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelectorAll('script').length") == 2
    ink, paper = page.evaluate(
        "(style => [style.color, style.backgroundColor])(getComputedStyle(document.body))"
    )
    light = [sum(map(int, shade[4:-1].split(","))) / 3 for shade in (ink, paper)]
    assert (light[0] < 60 and light[1] > 200) == (scheme == "light")
    assert abs(light[0] - light[1]) > 180
    assert page.locator("svg:not([aria-label])").count() == 0


CONTRAST = """() => {
  const shade = (css) => css.match(/[\\d.]+/g).map((n) => (css.startsWith("color") ? +n : n / 255));
  const light = (css) => shade(css).slice(0, 3)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const area = (one) => (!one || one.tagName === "rect" ? one : area(one.previousElementSibling));
  const paper = getComputedStyle(document.body).backgroundColor;
  return [...document.querySelectorAll("p, td, th, dt, svg text")]
    .filter((one) => one.getClientRects().length)
    .map((one) => {
      const style = getComputedStyle(one), svg = one.closest("svg");
      const under = svg?.matches(".treemap") && !one.matches(".head") && area(one);
      const behind = under ? getComputedStyle(under).fill : paper;
      const [a, b] = [svg ? style.fill : style.color, behind].map(light);
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["one.html", "three.html"])
def test_texts_have_the_contrast_of_aa(opened, name, scheme):
    found = opened(name, scheme=scheme).evaluate(CONTRAST)
    assert len(found) > 100
    assert [ratio for ratio in found if not ratio >= 4.5] == []


def test_numbers_are_those_of_json(opened, request):
    page = opened("one.html")
    page.select_option("header select", "exact")
    run = request.getfixturevalue("archstat")  # the name is the package's here
    told = json.loads(run("summary", "resnet18", "--full", "--format", "json").out)["rows"]
    heads = page.locator("table[data-t='modules'] th").all_text_contents()
    root = dict(zip(heads, rows(page, "modules")[0], strict=True))
    for key in ("params", "macs", "activations"):
        assert int(root[key].replace(",", "")) == told[0][key]


def test_another_measure_is_chosen_with_the_keyboard(opened):
    page = opened("one.html")
    assert page.locator(".pane0").is_visible()
    page.focus(".switch input >> nth=0")
    page.keyboard.press("ArrowRight")
    assert page.locator(".pane1").is_visible()
    assert not page.locator(".pane0").is_visible()


def test_table_is_sorted_folded_and_searched(opened):
    page = opened("one.html")
    many = len(rows(page, "modules"))
    page.get_by_role("button", name="fold all", exact=True).click()
    assert 1 < len(rows(page, "modules")) < many
    page.get_by_role("button", name="unfold all").click()
    head = page.locator("table[data-t='modules'] th", has_text="macs")
    place = page.locator("table[data-t='modules'] th").all_text_contents().index("macs")
    page.select_option("header select", "exact")
    head.locator("button").click()
    figures = [float(row[place].replace(",", "")) for row in rows(page, "modules")]
    assert head.get_attribute("aria-sort") == "descending"
    assert all(a >= b for a, b in pairwise(figures))
    page.fill("input[type=search] >> nth=-1", "shortcut")
    found = rows(page, "modules")
    assert 0 < len(found) < many
    assert all("shortcut" in "".join(row).lower() for row in found)


def test_data_are_saved_as_csv(opened, tmp_path):
    page = opened("one.html")
    with page.expect_download() as waited:
        page.click("button[data-csv=modules]")
    saved = tmp_path / waited.value.suggested_filename
    waited.value.save_as(saved)
    head, root, *_ = saved.read_text(encoding="utf-8").splitlines()
    figures = dict(zip(head.split(","), root.split(","), strict=True))
    assert int(figures["params"]) == archstat.analyze("resnet18").totals["params"]


def test_block_is_told_by_pointer_and_keyboard(opened):
    page = opened("one.html")
    page.locator(".strip rect[data-n='0']").hover()
    assert "Conv2d" in page.locator("#tip").inner_text()
    page.locator(".strip rect[data-n='2']").hover()  # its number stands in the middle
    assert "BasicBlock" in page.locator("#tip").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("#tip").is_visible()
    page.focus(".strip rect[data-n='1']")
    assert "MaxPool2d" in page.locator("#tip").inner_text()


def test_other_axes_move_the_points_and_names_stay_apart(opened):
    page = opened("three.html")
    places = "dots => dots.map(dot => [+dot.getAttribute('cx'), +dot.getAttribute('cy')])"
    before = page.eval_on_selector_all("svg[data-axes] circle", places)
    page.locator("section", has=page.locator("svg[data-axes]")).locator("select").nth(0) \
        .select_option(label="params")  # fmt: skip
    after = page.eval_on_selector_all("svg[data-axes] circle", places)
    assert before != after
    assert all(62 <= x <= 528 and 22 <= y <= 262 for x, y in after)
    assert page.locator("svg[data-axes] .front").get_attribute("d").startswith("M")


def test_policy_blocks_what_would_be_loaded(browser, files):
    page = browser.new_page()
    page.goto((files / "one.html").as_uri())
    blocked = page.evaluate(
        """() => new Promise(done => {
        document.addEventListener("securitypolicyviolation", e => done(e.effectiveDirective));
        document.body.append(Object.assign(new Image(), {src: "data:image/gif;base64,R0lGOD"}));
        setTimeout(() => done("nothing"), 2000);
        })"""
    )
    assert blocked == "img-src"
