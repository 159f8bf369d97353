"""The page in a real browser: from the disk, without network, by keyboard, in the dark."""

import json

import pytest
from support.browser import browser, missing
from support.report_data import kites, report_data

from hrnet_plugin.apis import evaluate_files

pytestmark = pytest.mark.skipif(missing() is not None, reason=f'browser tests: {missing()}')

CARD = '[data-gallery=cards]'


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    """The page of two files of predictions, with images."""
    folder = tmp_path_factory.mktemp('page')
    data = report_data(folder)
    files = data.annotations, [data.worse, data.better]
    report = evaluate_files(*files, images=data.images, resamples=50, gallery=60)
    return report, report.write(folder / 'out')[1]


@pytest.fixture(scope='module')
def driver(page, tmp_path_factory):
    with browser(tmp_path_factory.mktemp('profile')) as driver:
        driver.get(page[1].as_uri())
        yield driver


def cards(driver, condition='true'):
    """The shown cards of which JavaScript says that a condition holds."""
    script = f'return [...document.querySelectorAll("{CARD} figure")].filter(card => {condition})'
    return driver.execute_script(script)


def choose(driver, name, value):
    from selenium.webdriver.support.ui import Select

    Select(driver.find_element('css selector', f'{CARD} [name={name}]')).select_by_value(value)


def status(driver):
    return driver.find_element('css selector', f'{CARD} .status').text


@pytest.fixture(autouse=True)
def reset(request):
    """Leave the filters as they were found."""
    yield
    if 'driver' in request.fixturenames:
        driver = request.getfixturevalue('driver')
        for name in ('error', 'keypoint', 'size', 'model'):
            choose(driver, name, '')


def test_opens_from_disk_without_network_or_errors(driver, page):
    assert driver.title == 'Evaluation of worse and better'
    assert [entry for entry in driver.get_log('browser') if entry['level'] != 'INFO'] == []
    messages = [json.loads(entry['message'])['message'] for entry in driver.get_log('performance')]
    urls = [
        message['params']['request']['url']
        for message in messages
        if message['method'] == 'Network.requestWillBeSent'
    ]
    assert page[1].as_uri() in urls  # requests are seen
    assert [u for u in urls if not u.startswith(('data:', 'file:'))] == []
    assert [u for u in urls if u.startswith('file:')] == [page[1].as_uri()]


def test_images_of_the_first_page_show(driver):
    shown = cards(driver)
    assert len(shown) == 12
    driver.set_script_timeout(30)
    widths = driver.execute_async_script(f"""
const done = arguments[0];
const images = [...document.querySelectorAll("{CARD} img")];
images.forEach(image => {{ image.loading = 'eager'; }});
Promise.all(images.map(image => image.decode())).then(
  () => done(images.map(image => image.naturalWidth)), error => done(String(error)));""")
    assert len(widths) == 12
    assert min(widths) > 0


def test_outlines_lie_on_their_images(driver):
    """The picture and its drawing have the same place and the same proportions."""
    sizes = driver.execute_script(f"""
return [...document.querySelectorAll("{CARD} figure")].map(card => {{
  const image = card.querySelector('img'), drawing = card.querySelector('svg');
  const a = image.getBoundingClientRect(), b = drawing.getBoundingClientRect();
  const box = drawing.viewBox.baseVal;
  return [a.x - b.x, a.y - b.y, a.width - b.width, a.height - b.height,
          image.naturalWidth / image.naturalHeight / (box.width / box.height)];
}})""")
    assert len(sizes) == 12
    for *differences, proportion in sizes:
        assert max(map(abs, differences)) < 0.5
        assert proportion == pytest.approx(1, abs=0.05)


def test_filters_filter(driver, page):
    entries = page[0].content['gallery']
    for error in ('jitter', 'missed', 'background'):
        choose(driver, 'error', error)
        expected = sum(error in entry['errors'] for entry in entries)
        assert 0 < expected < len(entries)
        assert status(driver).startswith(f'{expected} of {len(entries)}')
    choose(driver, 'error', 'miss')
    choose(driver, 'keypoint', '9')
    expected = [e for e in entries if e['codes'] and e['codes'][9] == 4]
    assert expected
    assert status(driver).startswith(f'{len(expected)} of')
    choose(driver, 'model', '1')
    both = [e for e in expected if e['model'] == 1]
    assert len(both) < len(expected)
    text = f'{len(both)} of' if both else 'None of'
    assert status(driver).startswith(text)
    choose(driver, 'error', '')
    choose(driver, 'keypoint', '')
    choose(driver, 'size', 'medium')
    both = [e for e in entries if e['model'] == 1 and e['size'] == 'medium']
    assert status(driver).startswith(f'{len(both)} of')


def test_pages_and_sorts(driver, page):
    entries = page[0].content['gallery']
    next_page = driver.find_element('css selector', f'{CARD} .pager button:last-child')
    first = cards(driver)[0].text
    driver.execute_script('arguments[0].click()', next_page)
    assert 'page 2' in status(driver)
    assert cards(driver)[0].text != first
    choose(driver, 'sort', 'oks')
    assert 'page 1' in status(driver)
    lowest = min(e['oks'] for e in entries if e['oks'] is not None)
    assert f'OKS {lowest:.2f}' in cards(driver)[0].text
    choose(driver, 'sort', 'cost')


def test_layers_can_be_hidden(driver):
    box = driver.find_element('css selector', f'{CARD} input[name=prediction]')
    script = f"""return getComputedStyle(
document.querySelector('{CARD} .stage .prediction')).visibility"""
    assert driver.execute_script(script) == 'visible'
    driver.execute_script('arguments[0].click()', box)
    assert driver.execute_script(script) == 'hidden'
    driver.execute_script('arguments[0].click()', box)
    assert driver.execute_script(script) == 'visible'


def test_the_keyboard_reaches_and_operates_the_filters(driver):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    link = driver.find_element('css selector', 'nav a[href="#gallery"]')
    driver.execute_script('arguments[0].focus()', link)
    ActionChains(driver).send_keys(Keys.ENTER).perform()
    ActionChains(driver).send_keys(Keys.TAB).perform()
    assert driver.switch_to.active_element.get_attribute('name') == 'error'
    style = 'return getComputedStyle(document.activeElement).outlineStyle'
    assert driver.execute_script(style) == 'solid'  # focus is seen
    before = status(driver)
    ActionChains(driver).send_keys(Keys.ARROW_DOWN).perform()
    assert driver.switch_to.active_element.get_property('value') != ''
    assert status(driver) != before
    for name in ('keypoint', 'size', 'model', 'sort', 'image', 'truth'):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        assert driver.switch_to.active_element.get_attribute('name') == name
    ActionChains(driver).send_keys(Keys.SPACE).perform()
    box = driver.find_element('css selector', f'{CARD} input[name=truth]')
    assert not box.is_selected()
    ActionChains(driver).send_keys(Keys.SPACE).perform()
    assert box.is_selected()


def test_an_image_can_be_enlarged_and_closed_by_keyboard(driver):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    button = driver.find_element('css selector', f'{CARD} .card button')
    driver.execute_script('arguments[0].focus()', button)
    ActionChains(driver).send_keys(Keys.ENTER).perform()
    dialog = driver.find_element('id', 'enlarged')
    assert dialog.is_displayed()
    assert len(dialog.find_elements('css selector', '.stage svg')) == 1
    ActionChains(driver).send_keys(Keys.ESCAPE).perform()
    assert not dialog.is_displayed()


def test_images_that_changed_are_side_by_side(driver, page):
    pairs = driver.find_elements('css selector', '[data-gallery=pairs] .pair')
    assert len(pairs) == min(6, len(page[0].content['changed']))
    assert len(pairs[0].find_elements('css selector', '.stage')) == 2


def test_dark_mode_has_other_colours_with_contrast(driver):
    def colors(scheme):
        feature = dict(name='prefers-color-scheme', value=scheme)
        driver.execute_cdp_cmd('Emulation.setEmulatedMedia', dict(features=[feature]))
        return driver.execute_script("""
const luminance = color => {
  const parts = color.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
};
const of = (selector, name) => luminance(getComputedStyle(document.querySelector(selector))[name]);
return [of('body', 'backgroundColor'), of('body', 'color'), of('.chart text', 'fill'),
        of('.panel', 'backgroundColor'), of('.muted', 'color')]""")

    light, dark = colors('light'), colors('dark')
    assert light[0] > 0.7
    assert dark[0] < 0.05
    for page, ink, chart_ink, panel, muted in (light, dark):
        for text, ground in ((ink, page), (chart_ink, panel), (muted, page)):
            ratio = (max(text, ground) + 0.05) / (min(text, ground) + 0.05)
            assert ratio > 4.5  # WCAG 2.1, 1.4.3


def test_nothing_is_wider_than_a_phone(driver):
    metrics = dict(width=360, height=740, deviceScaleFactor=1, mobile=True)
    driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', metrics)
    assert driver.execute_script('return document.documentElement.scrollWidth') == 360
    driver.execute_cdp_cmd('Emulation.clearDeviceMetricsOverride', {})


def test_markup_in_names_is_text(tmp_path):
    annotations, results = kites(tmp_path)
    page = evaluate_files(annotations, results, resamples=0).write(tmp_path / 'out')[1]
    with browser(tmp_path / 'profile') as driver:
        driver.get(page.as_uri())
        assert [entry for entry in driver.get_log('browser') if entry['level'] != 'INFO'] == []
        assert driver.find_element('css selector', 'h1').text == 'Evaluation of <img src=x>'
        assert driver.find_elements('css selector', 'h1 img, td b, th b, option b') == []
        options = driver.find_elements('css selector', f'{CARD} [name=keypoint] option')
        assert [option.text for option in options[1:3]] == ['1 <b>tip</b>', '2 left_$x$']
        assert 'no image' in driver.find_element('css selector', f'{CARD} .stage').text
        assert '<i>' in driver.find_element('css selector', f'{CARD} .card').text
