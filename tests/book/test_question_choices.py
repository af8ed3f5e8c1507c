"""A reader answers a question in the built page by keyboard, with scripts switched off."""

import pytest
from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


def test_a_question_is_answered_by_keyboard_and_without_scripts(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/chapters/04_optimism.html")
    question = page.locator(".question").first
    first, second = question.locator("details").nth(0), question.locator("details").nth(1)
    assert not first.locator("p").is_visible()
    first.locator("summary").focus()
    page.keyboard.press("Enter")
    assert first.locator("p").is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert second.locator("p").is_visible() and not first.locator("p").is_visible()  # one choice at a time
    context.close()
