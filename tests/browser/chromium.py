"""A headless Chromium with a profile of its own, driven by Selenium over the distribution's chromedriver."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

T = TypeVar("T")

#: Seconds after which what should come to be seen has not come.
PATIENCE = 60.0

# As root there is no sandbox for the browser; the rest keeps it from talking to anybody but the tests.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-features=HttpsUpgrades",
    "--no-first-run",
    "--window-size=1000,800",
)


class NetworkChanged(AssertionError):
    """Chromium broke requests off because a network interface came or went on this machine.

    Every container that starts or stops brings or takes one. What was being tested has then not been seen to fail.
    """


class Chromium:
    """One browser with one window.

    :param profile: an empty directory for everything that it keeps.
    :param flags: further arguments of Chromium.
    """

    def __init__(self, profile: Path, *flags: str) -> None:
        options = ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in (*_FLAGS, *flags, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.set_page_load_timeout(PATIENCE)
        self._console: list[dict[str, Any]] = []

    def close(self) -> None:
        """End it."""
        self.driver.quit()

    def open(self, url: str) -> None:
        """Go to a page.

        :raises NetworkChanged: when it was not to be had for that.
        """
        try:
            self.driver.get(url)
        except WebDriverException as error:
            if "ERR_NETWORK_CHANGED" in str(error):
                raise NetworkChanged(url) from None
            raise

    def text(self, selector: str) -> str:
        """The text of the first element that a CSS selector finds; empty when there is none."""
        found = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return found[0].text if found else ""

    def click(self, selector: str) -> None:
        """Click on an element."""
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def type(self, selector: str, text: str) -> None:
        """Type into an element."""
        self.driver.find_element(By.CSS_SELECTOR, selector).send_keys(text)

    def style(self, selector: str, name: str) -> str:
        """A computed style of an element."""
        return self.driver.find_element(By.CSS_SELECTOR, selector).value_of_css_property(name)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script in the page returns."""
        return self.driver.execute_script(script, *arguments)

    def mark(self) -> None:
        """Put something into the page that is gone when it is loaded anew."""
        self.run("window.sandboxMark = 'still here'")

    @property
    def marked(self) -> bool:
        """Whether the page is the one that was marked."""
        return bool(self.run("return window.sandboxMark === 'still here'"))

    def until(self, look: Callable[[], T], what: str) -> T:
        """Wait for something to be seen, and give it.

        :raises AssertionError: when it is not in time, with the page and the console as they are then.
        :raises NetworkChanged: when that may be why.
        """
        end = time.monotonic() + PATIENCE
        while True:
            try:
                found = look()
                if found:
                    return found
            except WebDriverException:
                pass  # The page is between two documents.
            if time.monotonic() > end:
                shown = self.text("body")[:2000]
                kind = NetworkChanged if self._network_changed() else AssertionError
                raise kind(f"waited in vain for {what}\nthe page: {shown}\nthe console: {self.console()}")
            time.sleep(0.1)

    def soon(self, look: Callable[[], bool], seconds: float = 3.0) -> bool:
        """Whether something is to be seen within a few seconds."""
        end = time.monotonic() + seconds
        while not look():
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def see(self, selector: str, text: str) -> None:
        """Wait until an element has a text in it."""
        self.until(lambda: text in self.text(selector), f"{text!r} in {selector}")

    def answer(self, selector: str) -> str:
        """The text of an element of the page that the one with a form gives way to, or that has it.

        :raises AssertionError: when that page is another one, such as an error's.
        """
        come = "const [selector] = arguments, find = name => document.querySelector(name);"
        come += "return !!find(selector) || (document.readyState === 'complete' && !find('form'))"
        self.until(lambda: self.run(come, selector), f"{selector}, or another page")
        if not self.driver.find_elements(By.CSS_SELECTOR, selector):
            raise AssertionError(f"no {selector}: {self.text('body')[:2000]}\nthe console: {self.console()}")
        return self.text(selector)

    def forget(self) -> None:
        """Forget cookies, and what the console has said until now."""
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self.driver.get_log("browser")
        self._console = []

    def console(self) -> list[str]:
        """All that the console has said until now."""
        self._console += self.driver.get_log("browser")
        return [f"{entry['level']}: {entry['message']}" for entry in self._console]

    def expect_no_errors(self) -> None:
        """See that the console has none.

        :raises AssertionError: when it has.
        :raises NetworkChanged: when they may all come from that.
        """
        errors = [line for line in self.console() if line.startswith("SEVERE")]
        if errors:
            raise (NetworkChanged if self._network_changed() else AssertionError)(errors)

    def _network_changed(self) -> bool:
        return any("ERR_NETWORK_CHANGED" in line for line in self.console())
