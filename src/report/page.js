'use strict';
// Builds the page from the data that lies in it. Texts are set as text only, never as markup.

function makeTable(header, rows, numeric = [], shades = []) {
  const cellsOf = (row, r) => row.map((text, k) => {
    const cell = element('td', {}, text);
    if (numeric[k]) cell.className = 'number';
    else if (text.length > 48) cell.className = 'long';
    const shade = shades[r] && shades[r][k];
    if (shade !== undefined && shade !== null) {
      cell.className = 'shaded';
      cell.style.backgroundColor = `rgba(var(--shade), ${(0.6 * shade).toFixed(3)})`;
    }
    return cell;
  });
  const head = element('thead', {}, element('tr', {}, ...header.map((text, k) => {
    const cell = element('th', { scope: 'col' }, text);
    if (numeric[k]) cell.className = 'number';
    return cell;
  })));
  const body = element('tbody', {}, ...rows.map((row, r) => element('tr', {}, ...cellsOf(row, r))));
  return element('div', { class: 'scroll', tabindex: 0 }, element('table', {}, head, body));
}

// A row for every place on x that any series has.
function chartNumbers(item, places) {
  const rows = new Map();
  item.series.forEach((series, k) => places[series.x].forEach((x, i) => {
    if (!rows.has(x)) rows.set(x, new Array(item.series.length).fill(''));
    rows.get(x)[k] = numberText(series.y[i]);
  }));
  const sorted = [...rows.entries()].sort((a, b) => a[0] - b[0]);
  const header = [item.xLabel || 'x', ...item.series.map((series) => series.label || item.yLabel || 'y')];
  return makeTable(header, sorted.map(([x, values]) => [numberText(x, 9), ...values]), header.map(() => true));
}

function barNumbers(item) {
  const header = ['', ...item.groups.map((group) => group.label || item.xLabel || '')];
  const rows = item.labels.map((label, i) => [label, ...item.groups.map((group) => numberText(group.values[i]))]);
  return makeTable(header, rows, header.map((_, k) => k > 0));
}

function heatmapNumbers(item) {
  const header = [item.xLabel || 'x'];
  for (let row = 0; row < item.rows; ++row) header.push(`from ${numberText(heatmapEdge(item, row))}`);
  const rows = [];
  for (let column = 0; column < item.columns; ++column) {
    const values = item.values.slice(column * item.rows, (column + 1) * item.rows);
    rows.push([numberText(Math.round(heatmapPlace(item, column))), ...values.map((value) => numberText(value))]);
  }
  return makeTable(header, rows, header.map(() => true));
}

function save(canvas, title) {
  const name = title.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '') || 'chart';
  const link = element('a', { href: canvas.toDataURL('image/png'), download: `${name}.png` });
  link.click();
}

function tools(numbers, picture, title) {
  const details = element('details', {}, element('summary', {}, 'Numbers'));
  details.addEventListener('toggle', () => {
    if (details.open && details.children.length === 1) details.append(numbers());
  });
  const button = element('button', { type: 'button', 'aria-label': `Save “${title}” as PNG` }, 'Save as PNG');
  button.addEventListener('click', () => save(picture(), title));
  return element('div', { class: 'tools' }, details, button);
}

const renderers = {
  chart(box, item, places) {
    const plot = element('div', { class: 'plot' });
    const legend = element('div', { class: 'legend', role: 'group', 'aria-label': 'Series' });
    box.append(plot, legend, tools(() => chartNumbers(item, places), () => chartPicture(chart, item.title, false), item.title));
    const chart = drawChart(plot, legend, item, places);
  },
  bars(box, item) {
    const plot = element('div', { class: 'plot' });
    const legend = element('div', { class: 'legend', role: 'group', 'aria-label': 'Groups' });
    box.append(plot, legend, tools(() => barNumbers(item), () => chartPicture(chart, item.title, true), item.title));
    const chart = drawBars(plot, legend, item);
  },
  heatmap(box, item) {
    const canvas = drawHeatmap(box, item);
    const enlarged = () => {
      const copy = element('canvas', { width: canvas.clientWidth * 2, height: canvas.clientHeight * 2 });
      const pen = copy.getContext('2d');
      pen.imageSmoothingEnabled = false;
      pen.drawImage(canvas, 0, 0, copy.width, copy.height);
      return copy;
    };
    box.append(tools(() => heatmapNumbers(item), enlarged, item.title));
  },
  table(box, item) {
    if (item.rows.length > 12) box.classList.add('long');
    const table = makeTable(item.header, item.rows, item.numeric, item.shades);
    if (item.rows.length > 26) table.classList.add('tall');
    box.append(table);
  },
  pictures(box, item) {
    box.classList.add('long');
    const tiles = element('div', { class: 'tiles' });
    box.append(tiles);
    drawTiles(tiles, item);
  },
  facts(box, item) {
    const list = element('dl', {});
    for (const [name, value] of item.facts) {
      const pair = element('div', {}, element('dt', {}, name), element('dd', {}, value));
      if (value.length > 60) pair.className = 'broad';
      list.append(pair);
    }
    box.append(list);
  },
  code(box, item) {
    box.classList.add('long');
    box.append(element('pre', { tabindex: 0 }, item.text));
  },
};

function makeItem(item, places) {
  const box = element('figure', {});
  if (item.wide) box.classList.add('wide');
  if (item.title) box.append(element('h3', {}, item.title));
  if (item.note) box.append(element('p', { class: 'note' }, item.note));
  return { box, draw: () => renderers[item.kind](box, item, places) };
}

// Items stand in pairs; one that would stand alone takes the whole row.
function fillRows(items) {
  let waiting = null;
  for (const { box } of items) {
    if (box.classList.contains('wide')) {
      if (waiting) waiting.classList.add('wide');
      waiting = null;
    } else {
      waiting = waiting ? null : box;
    }
  }
  if (waiting) waiting.classList.add('wide');
}

function setTheme(name, button) {
  document.documentElement.dataset.theme = name;
  button.textContent = name === 'dark' ? 'Light colours' : 'Dark colours';
  for (const { paint } of drawnCharts) paint();
}

// Paper is white, and as wide as it is, whatever the screen is.
function printWell(button) {
  const paper = { width: 670, height: 215 };
  let before = null;
  window.addEventListener('beforeprint', () => {
    if (before === null) before = theme();
    setTheme('light', button);
    for (const { chart, bar } of drawnCharts) {
      chart.resize(paper.width, bar ? chart.canvas.parentNode.clientHeight : paper.height);
    }
  });
  window.addEventListener('afterprint', () => {
    setTheme(before ?? theme(), button);
    before = null;
    for (const { chart } of drawnCharts) chart.resize();
  });
}

function start() {
  const page = JSON.parse(document.getElementById('page-data').textContent);
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  Chart.defaults.font.size = 11;

  const button = element('button', { type: 'button', class: 'theme' });
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  setTheme(dark.matches ? 'dark' : 'light', button);
  dark.addEventListener('change', () => setTheme(dark.matches ? 'dark' : 'light', button));
  button.addEventListener('click', () => setTheme(theme() === 'dark' ? 'light' : 'dark', button));

  const links = page.sections.map((section) => element('li', {}, element('a', { href: `#${section.id}` }, section.title)));
  const header = element('header', {}, element('div', { class: 'row' }, element('h1', {}, page.title || ''), button));
  if (page.subtitle) header.append(element('p', { class: 'soft' }, page.subtitle));
  if (links.length > 1) header.append(element('nav', { 'aria-label': 'Sections' }, element('ul', {}, ...links)));
  const main = element('main', {});
  document.body.append(header, main);

  for (const section of page.sections) {
    const items = section.items.map((item) => makeItem(item, page.places));
    fillRows(items);
    const grid = element('div', { class: 'items' }, ...items.map((item) => item.box));
    const part = element('section', { id: section.id }, element('h2', {}, section.title));
    if (section.text) part.append(element('p', {}, section.text));
    part.append(grid);
    main.append(part);
    for (const item of items) item.draw();  // drawn in place: charts measure their box
  }
  printWell(button);
  const wanted = location.hash && document.getElementById(location.hash.slice(1));
  if (wanted) wanted.scrollIntoView();  // it was not there when the browser looked for it
  document.documentElement.dataset.ready = 'yes';
}

start();
