"""A real browser, Chromium without a window, for tests of pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .optional import is_installed

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser'))), None)
DRIVER = shutil.which('chromedriver')


def missing() -> str | None:
    """Say what is missing to run a browser; None if nothing is."""
    if CHROMIUM is None or DRIVER is None:
        return 'no Chromium with its driver: apt-get install chromium chromium-driver'
    if not is_installed('selenium'):
        return 'no selenium: pip install selenium'
    return None


@contextmanager
def browser(folder: Any, width: int = 1200, height: int = 900) -> Iterator[Any]:
    """Start a browser that logs its console and its requests.

    Args:
        folder: Folder for the profile.
        width: Width of the window, in pixels.
        height: Height of the window, in pixels.
    """
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = CHROMIUM or ''
    for argument in (
        '--headless=new',
        '--no-sandbox',  # which root and containers have not
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-dev-shm-usage',
        '--disable-gpu',
        '--no-first-run',
        f'--user-data-dir={folder}',
        f'--window-size={width},{height}',
    ):
        options.add_argument(argument)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    # Without a driver's path selenium would look for one on the network.
    environment = {**os.environ, 'SE_OFFLINE': 'true', 'SE_AVOID_STATS': 'true'}
    driver = webdriver.Chrome(
        options=options, service=Service(executable_path=DRIVER, env=environment)
    )
    try:
        driver.set_page_load_timeout(120)
        driver.get('about:blank')
        driver.get_log('performance')  # that of the page that the browser opens with
        yield driver
    finally:
        driver.quit()
