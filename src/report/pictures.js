'use strict';
// Pictures of numbers, and tiles cut out of one picture.

// Matplotlib's viridis at 17 places; between them colours are mixed.
const viridis = [
  [68, 1, 84], [72, 24, 106], [71, 45, 123], [66, 64, 134], [59, 82, 139], [51, 99, 141], [44, 114, 142], [38, 130, 142],
  [33, 145, 140], [31, 160, 136], [40, 174, 128], [63, 188, 115], [94, 201, 98], [132, 212, 75], [173, 220, 48],
  [216, 226, 25], [253, 231, 37],
];

function viridisColor(share) {
  const at = Math.min(Math.max(share, 0), 1) * (viridis.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, viridis.length - 1);
  return viridis[low].map((part, k) => Math.round(part + (viridis[high][k] - part) * (at - low)));
}

function paintPixels(canvas, width, height, colorAt) {
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext('2d');
  const pixels = pen.createImageData(width, height);
  let drawn = 0;
  for (let y = 0; y < height; ++y) {
    for (let x = 0; x < width; ++x) {
      const color = colorAt(x, y);
      if (color) ++drawn;
      pixels.data.set(color ? [...color, 255] : [0, 0, 0, 0], 4 * (y * width + x));
    }
  }
  pen.putImageData(pixels, 0, 0);
  canvas.dataset.drawn = drawn;
}

function heatmapPlace(item, column) {
  return item.columns < 2 ? item.xFirst : item.xFirst + ((item.xLast - item.xFirst) * column) / (item.columns - 1);
}

function heatmapEdge(item, row) {
  return item.yLow + ((item.yHigh - item.yLow) * row) / item.rows;
}

// Row 0 at the bottom; the darkest colour for the smallest value, the lightest for the largest.
function drawHeatmap(box, item) {
  const shade = (value) => (value === null ? null : item.logColor ? Math.log1p(value) : value);
  let low = Infinity;
  let high = -Infinity;
  for (const value of item.values) {
    if (value === null) continue;
    low = Math.min(low, shade(value));
    high = Math.max(high, shade(value));
  }
  const label = `Heat map: ${item.title}. Its numbers stand in the table below it.`;
  const canvas = element('canvas', { role: 'img', 'aria-label': label });
  paintPixels(canvas, item.columns, item.rows, (x, y) => {
    const value = shade(item.values[x * item.rows + (item.rows - 1 - y)]);
    return value === null ? null : viridisColor(high > low ? (value - low) / (high - low) : 0);
  });
  const up = element('div', { class: 'up' }, element('span', {}, numberText(item.yHigh)),
    element('span', { class: 'label' }, item.yLabel || ''), element('span', {}, numberText(item.yLow)));
  const across = element('div', { class: 'across' }, element('span', {}, numberText(item.xFirst)),
    element('span', {}, item.xLabel || ''), element('span', {}, numberText(item.xLast)));
  const bar = element('canvas', { 'aria-hidden': 'true' });
  paintPixels(bar, 90, 1, (x) => viridisColor(x / 89));
  const plain = (value) => numberText(item.logColor ? Math.expm1(value) : value, 3);
  const reading = element('output', {});
  canvas.addEventListener('mousemove', (event) => {
    const x = Math.min(Math.floor((event.offsetX / canvas.clientWidth) * item.columns), item.columns - 1);
    const y = Math.min(Math.floor((1 - event.offsetY / canvas.clientHeight) * item.rows), item.rows - 1);
    if (x < 0 || y < 0) return;
    reading.textContent = `${item.xLabel || 'x'} ${numberText(Math.round(heatmapPlace(item, x)))}, ` +
      `${numberText(heatmapEdge(item, y))}–${numberText(heatmapEdge(item, y + 1))}: ${numberText(item.values[x * item.rows + y])}`;
  });
  canvas.addEventListener('mouseleave', () => { reading.textContent = ''; });
  box.append(element('div', { class: 'map' }, up, canvas, across), element('div', { class: 'scale' },
    element('span', {}, `${item.valueLabel || 'value'}:`), element('span', {}, plain(low)), bar,
    element('span', {}, `${plain(high)}${item.logColor ? ' (log colours)' : ''}`), reading));
  return canvas;
}

// Tiles are canvases of their own: backgrounds are left out in print.
function drawTiles(box, item) {
  const tiles = (item.captions || []).map((caption, k) => {
    const canvas = element('canvas', { role: 'img', 'aria-label': `Picture ${k + 1}: ${caption}` });
    box.append(element('div', { class: 'tile' }, canvas, caption));
    return canvas;
  });
  const sprite = new Image();
  sprite.addEventListener('load', () => {
    const width = Math.floor(sprite.naturalWidth / item.columns);
    const height = Math.floor(sprite.naturalHeight / item.rows);
    box.style.setProperty('--tile', `${Math.min(Math.max(width, 104), 160)}px`);
    tiles.forEach((canvas, k) => {
      canvas.width = width;
      canvas.height = height;
      const column = k % item.columns;
      const row = Math.floor(k / item.columns);
      canvas.getContext('2d').drawImage(sprite, column * width, row * height, width, height, 0, 0, width, height);
      canvas.dataset.drawn = width * height;
    });
  });
  sprite.src = item.sprite;
}
