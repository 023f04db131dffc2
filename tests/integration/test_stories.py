"""People at browsers on the whole of Touchstone, its queue and its judge: from an empty draft to a closed competition.

Nobody here uses a command line, an API or the database.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import storykit as do
from livekit import Live, build_image, code, remove_image
from onnx import TensorProto, helper, numpy_helper
from playwright.sync_api import expect

from tests.factories.browsing import chromium_runs, pages_open
from touchstone_client.packing import packed

if TYPE_CHECKING:
    from playwright.sync_api import Page

    OpenPage = Callable[..., Page]

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def open_page(live: Live, chromium: str) -> Iterator[OpenPage]:
    """Make a page of somebody on the live stack."""
    with chromium_runs(chromium) as browser, pages_open(browser, live.stack.url) as make:
        yield make


@pytest.fixture(scope="module")
def organiser(open_page: OpenPage) -> Page:
    page = open_page()
    do.sign_up(page, f"olivia-{uuid.uuid4().hex[:6]}")
    return page


@pytest.fixture(scope="module")
def address(organiser: Page, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A competition that the organiser made by the wizard, checked and opened."""
    data = do.data_of(tmp_path_factory.mktemp("story") / "bundle")
    do.draft_begin(organiser, f"Night birds {uuid.uuid4().hex[:6]}")
    do.write_about(organiser)
    do.upload_data(organiser, data)
    do.look_at_data(organiser)
    do.describe_task(organiser)
    do.choose_metrics(organiser)
    do.rank(organiser)
    do.open_a_phase(organiser)
    do.add_finals(organiser)
    do.allow_every_kind(organiser)
    return do.publish(organiser)


def _model(path: Path) -> Path:
    """ONNX: probabilities that grow with a - b."""
    weights = numpy_helper.from_array(np.array([[-20, 20], [20, -20]], np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["y"], axis=1)], "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])], [weights],
    )  # fmt: skip
    path.write_bytes(
        helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    )
    return path


def _zip(folder: Path) -> Path:
    made = folder.with_suffix(".zip")
    with packed(folder) as archive:
        shutil.copyfile(archive, made)
    return made


def test_an_organiser_makes_checks_and_opens_a_competition(open_page: OpenPage, address: str) -> None:
    visitor = open_page()
    visitor.goto("/")
    visitor.locator(f"a[href='/{address.split('/', 3)[3]}']").first.click()
    expect(visitor.get_by_text("Which of two numbers is larger?").first).to_be_visible()
    expect(visitor.get_by_role("main")).to_contain_text("Say yes where a is larger than b.")
    visitor.goto(f"{address}data/")
    expect(visitor.get_by_role("link", name=re.compile("labels.csv"))).to_have_count(1)  # the sample's, not the test's


def test_a_participant_submits_each_kind_mends_a_failure_and_wins(
    open_page: OpenPage, organiser: Page, address: str, sandbox: str, tmp_path: Path
) -> None:
    page, rival = open_page(), open_page()
    for somebody, name in ((rival, "Robin"), (page, "Nina")):
        do.sign_up(somebody, f"{name.lower()}-{uuid.uuid4().hex[:6]}")
        do.join(somebody, address, name)
    do.submit(rival, address, do.predictions(tmp_path / "rival.csv", wrong=4))

    do.submit(page, address, do.predictions(tmp_path / "short.csv", rows=38))
    expect(page.get_by_role("heading", name="The file was not accepted, and nothing was run.")).to_be_visible(
        timeout=do.PATIENCE_MS
    )
    expect(page.locator("#run").get_by_text("It does not count against your quota.")).to_be_visible()
    do.submit(page, address, do.predictions(tmp_path / "whole.csv", wrong=10), name="by hand")
    do.scored(page, "0.750")

    broken = _zip(code(tmp_path / "broken", "raise SystemExit('no weights found')"))
    do.submit(page, address, broken, kind="Code")
    expect(page.locator("#run").get_by_text("no weights found").first).to_be_visible(timeout=do.PATIENCE_MS)
    do.submit(page, address, _zip(code(tmp_path / "mended")), kind="Code", name="mended")
    do.scored(page, "1.000")
    do.submit(page, address, _model(tmp_path / "linear.onnx"), kind="Model")
    do.scored(page, "1.000")

    page.get_by_role("link", name="Leaderboard").first.click()
    rows = page.get_by_role("table").first.locator("tbody tr", has=page.get_by_role("rowheader"))
    expect(rows.nth(0)).to_contain_text("Nina")
    expect(rows.nth(0)).to_contain_text("You")
    expect(rows.nth(1)).to_contain_text("Robin")
    page.goto(f"{address}submissions/")
    page.get_by_role("row", name=re.compile("mended")).get_by_role("button", name="Make finalist").click()
    expect(page.get_by_role("row", name=re.compile("mended"))).to_contain_text("finalist")


@pytest.mark.docker
def test_a_participant_mends_a_container_that_was_refused(
    open_page: OpenPage, address: str, docker_node: str, tmp_path: Path
) -> None:
    page = open_page()
    do.sign_up(page, f"carla-{uuid.uuid4().hex[:6]}")
    do.join(page, address, "Carla")
    broken = build_image(tmp_path / "broken", "FROM scratch\nCOPY main.py /app/main.py\n")
    archive = tmp_path / "broken.tar"
    subprocess.run([docker_node, "save", "--output", str(archive), broken], check=True, timeout=60)

    do.submit(page, address, archive, kind="Container")
    expect(page.get_by_role("heading", name="The file was not accepted, and nothing was run.")).to_be_visible(
        timeout=do.PATIENCE_MS
    )
    expect(page.locator("#run").get_by_text(re.compile("ENTRYPOINT")).first).to_be_visible()
    image = build_image(tmp_path / "mended", "FROM touchstone/base:1\nCOPY main.py /app/main.py\n")
    told = [docker_node, "image", "inspect", "--format", "{{.Id}}", image]
    digest = subprocess.run(told, check=True, capture_output=True, text=True, timeout=60).stdout.strip()
    do.submit(page, address, digest, kind="Container", name="mended")
    do.scored(page, "1.000")
    remove_image(image)


def test_the_organiser_runs_the_finals_on_the_private_split(
    open_page: OpenPage, organiser: Page, address: str, sandbox: str
) -> None:
    visitor, board = open_page(), f"{address}leaderboard/finals/main/"

    do.finals(organiser, address)
    table = organiser.get_by_role("table", name="Finalists by name")
    expect(table.get_by_role("row", name=re.compile("Robin"))).to_contain_text("cannot be run")
    expect(table.get_by_role("row", name=re.compile("Nina"))).to_contain_text("by them")
    visitor.goto(board)
    expect(visitor.get_by_role("main")).to_contain_text("their leaderboard appears when the organisers publish")
    do.finals_publish(organiser)
    visitor.goto(board)

    row = visitor.get_by_role("table").first.locator("tbody tr", has=visitor.get_by_role("rowheader")).first
    expect(row).to_contain_text(re.compile("Nina|Carla"))
    expect(row).to_contain_text("1.000")


def test_the_organiser_tells_closes_and_keeps_everything(open_page: OpenPage, organiser: Page, address: str) -> None:
    page, visitor = organiser, open_page()
    page.goto(f"{address}manage/announcements/")
    page.get_by_label("Title").fill("Thank you")
    page.get_by_label("Text", exact=True).fill("The phase **ends** today.")
    page.get_by_role("button", name="Publish", exact=True).click()
    visitor.goto(f"{address}announcements/")
    expect(visitor.get_by_role("heading", name="Thank you")).to_be_visible()

    page.goto(f"{address}manage/phases/")
    page.get_by_role("link", name="Freeze… Open").click()
    page.locator("form [name=reason]").fill("The winner is known.")
    page.get_by_role("button", name="Freeze", exact=True).click()
    expect(page.get_by_text("The winner is known.").first).to_be_visible()
    expect(page.get_by_text("Frozen", exact=True).first).to_be_visible()

    page.goto(f"{address}manage/export/")
    with page.expect_download() as begun:
        page.locator("main a[href$='bundle.zip']").first.click()
    assert begun.value.suggested_filename.endswith(".zip")
