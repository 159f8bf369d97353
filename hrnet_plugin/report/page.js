'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const LETTERS = ['', 'J', 'I', 'S', 'M'];
  const PER_PAGE = {cards: 12, pairs: 6};

  const element = (name, options = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(options)) {
      if (key in made && key !== 'list') made[key] = value;
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  };
  const SVG = element('div', {innerHTML: '<svg></svg>'}).firstChild.namespaceURI;
  const shape = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const number = (value, digits = 3) =>
    value === null || value === undefined ? '–' : value.toFixed(digits);

  // Lines of a skeleton, each over a dark one, so that it shows on any image; then its points.
  const outline = (kind, points, unit) => {
    const group = shape('g', {class: kind});
    const lines = data.links.filter(([a, b]) => points[a] && points[b]);
    const width = (kind === 'others' ? 1 : 1.8) * unit;
    for (const halo of kind === 'others' ? [false] : [true, false]) {
      for (const [a, b] of lines) {
        const line = shape('line', {
          x1: points[a][0], y1: points[a][1], x2: points[b][0], y2: points[b][1],
          'stroke-width': halo ? width + 1.6 * unit : width,
        });
        if (halo) { line.setAttribute('class', 'halo'); line.style.stroke = '#000'; line.style.strokeDasharray = 'none'; }
        group.append(line);
      }
    }
    points.forEach((point, k) => {
      if (!point || kind === 'others') return;
      const [x, y] = point;
      const r = 2.6 * unit;
      const drawn = kind === 'truth'
        ? [shape('circle', {cx: x, cy: y, r, class: 'halo', 'stroke-width': 3 * unit, style: 'stroke: #000'}),
           shape('circle', {cx: x, cy: y, r, 'stroke-width': 1.6 * unit})]
        : [shape('rect', {x: x - r * .8, y: y - r * .8, width: 1.6 * r, height: 1.6 * r})];
      drawn[drawn.length - 1].append(shape('title', {}, `${data.names[k]}, ${kind === 'truth' ? 'truth' : 'prediction'}`));
      group.append(...drawn);
    });
    return group;
  };

  // A line from where a keypoint is to where it should be, and the first letter of the error.
  const marks = (card, unit) => {
    const group = shape('g', {class: 'marks'});
    card.codes.forEach((code, k) => {
      if (code <= 0) return;
      const [x, y] = card.predictions[0][k];
      const truth = card.truths[0] && card.truths[0][k];
      if (truth) group.append(shape('line', {x1: x, y1: y, x2: truth[0], y2: truth[1]}));
      const text = shape('text', {x: x + 4 * unit, y: y - 3 * unit, style: `font-size: ${11 * unit}px`}, LETTERS[code]);
      text.append(shape('title', {}, `${data.names[k]}: ${data.errors[data.codes[code]]}`));
      group.append(text);
    });
    return group;
  };

  const stage = (card) => {
    const unit = Math.max(card.width, card.height) / 208;
    const svg = shape('svg', {viewBox: `0 0 ${card.width} ${card.height}`, 'aria-hidden': 'true'});
    for (const other of card.others) svg.append(outline('others', other, unit));
    for (const truth of card.truths) svg.append(outline('truth', truth, unit));
    for (const prediction of card.predictions) svg.append(outline('prediction', prediction, unit));
    svg.append(marks(card, unit));
    if (card.picture === undefined) {
      const none = element('span', {className: 'none', textContent: 'no image'});
      return element('div', {className: 'stage'}, svg, none);
    }
    const image = element('img', {
      loading: 'lazy', decoding: 'async', src: data.pictures[card.picture], alt: describe(card),
    });
    return element('div', {className: 'stage'}, image, svg);
  };

  const describe = (card) => {
    const what = {
      matched: 'Prediction and truth', background: 'A detection on nothing, or a second one of a person',
      missed: 'A person without a detection', image: 'All predictions and truths',
    }[card.kind];
    const errors = card.errors.map((e) => data.errors[e]).join(', ');
    return `${what} in ${card.file}${errors ? `: ${errors}` : ''}`;
  };

  const tags = (card) => {
    const list = element('ul', {className: 'tags'});
    for (const error of card.errors) {
      const code = data.codes.indexOf(error);
      const count = card.codes.filter((c) => c === code && code > 0).length;
      const tag = element('li', {textContent: data.errors[error] + (count > 1 ? ` ×${count}` : '')});
      tag.style.setProperty('--tag', `var(--${error})`);
      list.append(tag);
    }
    return list;
  };

  const figure = (card, title = '') => {
    const facts = [];
    if (card.oks !== null) facts.push(`OKS ${number(card.oks, 2)}`);
    if (card.score !== null) facts.push(`score ${number(card.score, 2)}`);
    if (card.kind === 'matched' && card.cost > 0) facts.push(`wrong at ${Math.round(10 * card.cost)} of 10 thresholds`);
    if (card.size) facts.push(card.size);
    const parts = [card.file];
    if (card.annotation_id !== undefined) parts.push(`annotation ${card.annotation_id}`);
    if (card.detection !== undefined) parts.push(`prediction ${card.detection}`);
    const name = parts.join(' · ');
    const enlarge = element('button', {type: 'button', textContent: 'Enlarge', 'aria-label': `Enlarge: ${describe(card)}`});
    enlarge.addEventListener('click', () => {
      const dialog = document.getElementById('enlarged');
      dialog.querySelector('div').replaceChildren(stage(card), element('p', {textContent: describe(card)}));
      dialog.showModal();
    });
    const head = title || (data.models.length > 1 ? data.models[card.model] : '');
    return element('figure', {className: 'card'},
      ...(head ? [element('p', {className: 'muted', textContent: head})] : []),
      stage(card),
      element('figcaption', {},
        tags(card),
        element('div', {textContent: facts.join(' · ')}),
        element('div', {className: 'muted', textContent: name})),
      enlarge);
  };

  const pair = ({a, b, change}) => {
    const words = change > 0 ? 'better in the second' : 'worse in the second';
    return element('div', {className: 'card pair'},
      element('p', {textContent: `OKS ${number(a.oks, 2)} → ${number(b.oks, 2)} (${change > 0 ? '+' : '−'}${number(Math.abs(change), 2)}, ${words})`}),
      figure(a, data.models[0]), figure(b, data.models[1]));
  };

  const choice = (label, name, options) => {
    const select = element('select', {name});
    for (const [value, text] of options) select.append(element('option', {value, textContent: text}));
    return element('label', {}, label, select);
  };

  const has = (card, error, keypoint) => {
    if (keypoint === '') return error === '' || card.errors.includes(error);
    const code = card.codes[Number(keypoint)];
    return error === '' ? code > 0 : code === data.codes.indexOf(error);
  };
  const SORTS = {
    cost: ['Highest cost', (a, b) => b.cost - a.cost],
    oks: ['Lowest OKS', (a, b) => (a.oks ?? 2) - (b.oks ?? 2)],
    score: ['Highest score', (a, b) => (b.score ?? -1) - (a.score ?? -1)],
  };

  const gallery = (root) => {
    const kind = root.dataset.gallery;
    const all = data[kind];
    const isPairs = kind === 'pairs';
    const [controls, status, cards, pager] = ['.controls', '.status', '.cards', '.pager'].map((s) => root.querySelector(s));
    cards.classList.toggle('pairs', isPairs);
    let page = 0;

    const filters = [];
    if (isPairs) {
      filters.push(choice('Show', 'change', [['', 'All changes'], ['better', 'Better in the second'], ['worse', 'Worse in the second']]));
    } else {
      const present = Object.keys(data.errors).filter((error) => all.some((card) => card.errors.includes(error)));
      filters.push(choice('Error', 'error', [['', 'All errors'], ...present.map((e) => [e, data.errors[e]])]));
      filters.push(choice('Keypoint', 'keypoint', [['', 'All keypoints'], ...data.names.map((n, k) => [String(k), `${k + 1} ${n}`])]));
    }
    if (!isPairs) filters.push(choice('Size', 'size', [['', 'All sizes'], ['small', 'Small, below 32²'], ['medium', 'Medium, 32² to 96²'], ['large', 'Large, above 96²']]));
    if (!isPairs && data.models.length > 1) filters.push(choice('Results', 'model', [['', 'All results'], ...data.models.map((m, i) => [String(i), m])]));
    if (!isPairs) filters.push(choice('Sort by', 'sort', Object.entries(SORTS).map(([key, [text]]) => [key, text])));
    const toggles = element('fieldset', {'aria-label': 'Layers'});
    const layers = [['image', 'Image'], ['truth', 'Truth: solid, circles'], ['prediction', 'Prediction: dashed, squares']];
    if (!isPairs) layers.push(['others', 'Other people: dotted'], ['marks', 'Errors: J, I, S, M']);
    for (const [layer, text] of layers) {
      const box = element('input', {type: 'checkbox', checked: true, name: layer});
      box.addEventListener('change', () => root.classList.toggle(`hide-${layer}`, !box.checked));
      toggles.append(element('label', {}, box, text));
    }
    controls.append(...filters, toggles);
    controls.addEventListener('submit', (event) => event.preventDefault());

    const value = (name) => controls.elements[name] ? controls.elements[name].value : '';
    const selected = () => {
      if (isPairs) {
        return all.filter(({change}) => value('change') === '' || (value('change') === 'better') === change > 0);
      }
      return all
        .filter((card) => has(card, value('error'), value('keypoint'))
          && (value('size') === '' || card.size === value('size'))
          && (value('model') === '' || card.model === Number(value('model'))))
        .sort(SORTS[value('sort')][1]);
    };

    const previous = element('button', {type: 'button', textContent: '← Previous'});
    const next = element('button', {type: 'button', textContent: 'Next →'});
    const place = element('span');
    pager.append(previous, place, next);
    const show = () => {
      const found = selected();
      const perPage = PER_PAGE[isPairs ? 'pairs' : 'cards'];
      const pages = Math.max(1, Math.ceil(found.length / perPage));
      page = Math.min(page, pages - 1);
      const some = found.slice(page * perPage, (page + 1) * perPage);
      cards.replaceChildren(...some.map((entry) => isPairs ? pair(entry) : figure(entry)));
      place.textContent = `Page ${page + 1} of ${pages}`;
      status.textContent = found.length
        ? `${found.length} of ${all.length}, page ${page + 1} of ${pages}`
        : `None of ${all.length} fits these filters`;
      previous.disabled = page === 0;
      next.disabled = page === pages - 1;
    };
    const turn = (by, button) => {
      page += by;
      show();
      if (button.disabled) (by > 0 ? previous : next).focus();
      controls.scrollIntoView({block: 'nearest'});
    };
    previous.addEventListener('click', () => turn(-1, previous));
    next.addEventListener('click', () => turn(1, next));
    controls.addEventListener('change', (event) => {
      if (event.target.tagName !== 'SELECT') return;
      page = 0;
      show();
    });
    show();
  };
  document.querySelectorAll('[data-gallery]').forEach(gallery);
})();
