"""A student answers on a phone with the keyboard alone, in both languages, with and without JavaScript."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from playwright.async_api import Browser, Page, ViewportSize, expect

from common.events import SurveyScored
from tests.chromium import browser
from tests.surveys.conftest import ITEMS, Surveys

__all__ = ["browser"]

PHONE = ViewportSize(width=360, height=740)
WORDS = {
    "en": {"title": "How school is for you", "thanks": "Thank you!", "saved": "Your answers so far are saved."},
    "es": {
        "title": "Cómo te va en la escuela",
        "thanks": "¡Gracias!",
        "saved": "Tus respuestas hasta ahora están guardadas.",
    },
}


@asynccontextmanager
async def served(surveys: Surveys) -> AsyncIterator[str]:
    """The service behind a real port, and its address."""
    server = uvicorn.Server(uvicorn.Config(surveys.running.app, lifespan="off", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@asynccontextmanager
async def invited(surveys: Surveys, browser: Browser, **options: Any) -> AsyncIterator[tuple[Page, str]]:
    """A phone, and the link of a new student. Whatever the page complains of, or fetches elsewhere, fails the test."""
    async with served(surveys) as address:
        student, *_ = await surveys.enrol()
        links = await surveys.links(await surveys.window())
        context = await browser.new_context(viewport=PHONE, has_touch=True, **options)
        page, complaints = await context.new_page(), []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(address) else complaints.append(asked.url))
        try:
            yield page, links[str(student)].replace("http://testserver", address)
        finally:
            await context.close()
        assert [complaint for complaint in complaints if complaint != "data:,"] == []


async def focused(page: Page) -> str:
    """The name of the item or the action of the button that has the focus."""
    return str(
        await page.evaluate("(({type, name, value}) => type === 'radio' ? name : value)(document.activeElement)")
    )


async def tab_to(page: Page, name: str) -> None:
    for _ in range(40):
        if await focused(page) == name:
            return
        await page.keyboard.press("Tab")
    pytest.fail(f"the keyboard does not reach {name}")


async def answer(page: Page, item: str, answer: int) -> None:
    """Choose by keyboard: space takes the first answer, each arrow the next."""
    await tab_to(page, item)
    await page.keyboard.press("Space")
    for _ in range(answer - 1):
        await page.keyboard.press("ArrowDown")


@pytest.mark.parametrize("javascript", [True, False], ids=["with script", "without script"])
@pytest.mark.parametrize("language", ["en", "es"])
async def test_the_keyboard_is_enough(surveys: Surveys, browser: Browser, language: str, javascript: bool) -> None:
    words = WORDS[language]
    async with invited(surveys, browser, locale="en-US", java_script_enabled=javascript) as (page, url):
        await page.goto(url)
        await tab_to(page, f"lang-{language}")
        await page.keyboard.press("Enter")
        await expect(page).to_have_title(words["title"])
        for number, item in enumerate(ITEMS):
            await answer(page, item, number % 5 + 1)
        await tab_to(page, "send")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name=words["thanks"])).to_be_visible()

    (said,) = await surveys.running.said(SurveyScored)
    assert [(score.subscale, score.mean) for score in said.scores] == [
        ("adult_support", 1.5),
        ("peer_support", 2.5),
        ("belonging", 3.0),
        ("feeling_heard", 2.5),
    ]


async def test_each_answer_is_saved_as_it_is_given(surveys: Surveys, browser: Browser) -> None:
    async with invited(surveys, browser, locale="es-MX") as (page, url):
        await page.goto(url)
        await answer(page, "adult_support_1", 2)
        await expect(page.locator("#state")).to_have_text("Guardado.")
        await page.goto("about:blank")
        await page.goto(url)
        await expect(page.locator("#adult_support_1-2")).to_be_checked()
        await expect(page.locator("#progress")).to_have_text("1 de 8 preguntas listas")


async def test_enter_within_a_question_saves_and_sends_nothing(surveys: Surveys, browser: Browser) -> None:
    async with invited(surveys, browser, java_script_enabled=False) as (page, url):
        await page.goto(url)
        await answer(page, "adult_support_1", 3)
        await page.keyboard.press("Enter")
        await expect(page.get_by_text(WORDS["en"]["saved"])).to_be_visible()
        await expect(page.locator("#adult_support_1-3")).to_be_checked()
    assert await surveys.running.said(SurveyScored) == []


async def test_open_questions_are_named_and_led_to(surveys: Surveys, browser: Browser) -> None:
    async with invited(surveys, browser, java_script_enabled=True) as (page, url):
        await page.goto(url)
        await answer(page, "adult_support_1", 3)
        await tab_to(page, "send")
        await page.keyboard.press("Enter")
        note = page.get_by_role("alert")
        await expect(note).to_contain_text("Some questions are still open: 7.")
        await expect(note).to_be_focused()
        await note.get_by_role("link", name="Question 3 of 8").press("Enter")
        await page.keyboard.press("Space")
        await expect(page.locator("#peer_support_1-1")).to_be_checked()


@pytest.mark.parametrize("width", [320, 360, 1024])
async def test_everything_fits_and_is_large_enough_to_touch(surveys: Surveys, browser: Browser, width: int) -> None:
    async with invited(surveys, browser) as (page, url):
        await page.set_viewport_size({"width": width, "height": 740})
        await page.goto(url)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        small = await page.evaluate(
            """[...document.querySelectorAll('label, button:not(.default), a')].map(each => each.getBoundingClientRect())
               .filter(box => box.width < 44 || box.height < 44).length"""
        )
        assert small == 0


async def test_what_has_the_focus_is_never_hidden_under_the_bar(surveys: Surveys, browser: Browser) -> None:
    async with invited(surveys, browser) as (page, url):
        await page.goto(url)
        for item in ITEMS:
            await tab_to(page, item)
            below = await page.evaluate("document.activeElement.closest('label').getBoundingClientRect().bottom")
            top = await page.evaluate("document.querySelector('.bar').getBoundingClientRect().top")
            assert below <= top


async def test_every_question_is_a_group_with_a_name(surveys: Surveys, browser: Browser) -> None:
    async with invited(surveys, browser, locale="en-US") as (page, url):
        await page.goto(url)
        groups = page.get_by_role("group", name="Question")
        await expect(groups).to_have_count(8)
        for group in await groups.all():
            await expect(group.get_by_role("radio")).to_have_count(6)
        await expect(page.get_by_role("progressbar", name="0 of 8 questions done")).to_be_visible()


async def test_text_has_enough_contrast(surveys: Surveys, browser: Browser) -> None:
    """WCAG 2.2 AA asks 4.5:1 of every text against what lies behind it."""
    async with invited(surveys, browser) as (page, url):
        await page.goto(url)
        await page.locator("#adult_support_1-2").check()
        assert await page.evaluate(LEAST_CONTRAST) >= 4.5


async def test_a_printed_page_holds_the_questions_and_no_buttons(surveys: Surveys, browser: Browser) -> None:
    async with invited(surveys, browser) as (page, url):
        await page.goto(url)
        await page.emulate_media(media="print")
        await expect(page.get_by_role("radio")).to_have_count(48)
        await expect(page.get_by_role("button")).to_have_count(0)


LEAST_CONTRAST = """() => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = parts(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const ratios = [...document.querySelectorAll('p, legend, small, label, button, h1')].map(node => {
    const [high, low] = [light(parts(getComputedStyle(node).color)), light(behind(node))].sort((a, b) => b - a);
    return (high + .05) / (low + .05);
  });
  return Math.min(...ratios);
}"""
