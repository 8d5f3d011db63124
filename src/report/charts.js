'use strict';
// Charts and bars, drawn by Chart.js. Texts reach the page as text only, never as markup.

const palettes = {
  // After Okabe and Ito: told apart with any kind of colour vision.
  light: ['#0072b2', '#d55e00', '#009e73', '#b65a94', '#c98a00', '#3c9fd6', '#55585f'],
  dark: ['#4aa8e8', '#ff8f4d', '#2fd3a1', '#e79cc6', '#f5b82e', '#9ad5f7', '#c9ccd3'],
};
const dashes = [[], [7, 4], [2, 3], [10, 3, 2, 3]];
const drawnCharts = [];  // {chart, paint, bar}

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

// 0.00000012345 → "1.2345e-7"; whole numbers stay whole.
function numberText(value, digits = 5) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '';
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e7) return String(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(digits - 1).replace(/\.?0+e/, 'e').replace('e+', 'e');
  return String(Number(value.toPrecision(digits)));
}

function theme() {
  return document.documentElement.dataset.theme === 'dark' ? 'dark' : 'light';
}

function cssColor(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function seriesColor(place, faint) {
  const palette = palettes[theme()];
  return palette[place % palette.length] + (faint ? '59' : '');
}

function seriesDash(place) {
  return dashes[Math.floor(place / palettes.light.length) % dashes.length];
}

// Ticks of a logarithmic axis that do not crowd: powers of ten, or 1-2-5, or even steps within a narrow range.
function logTicks(low, high) {
  const decades = Math.log10(high / low);
  const ticks = [];
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  if (decades < 0.7) return evenTicks(low, high, 5);
  const stride = Math.max(1, Math.ceil(decades / 8));
  const factors = decades > 3 ? [1] : decades > 1.5 ? [1, 3] : [1, 2, 5];
  for (let exponent = first; exponent <= last; ++exponent) {
    if (decades > 3 && exponent % stride !== 0) continue;
    for (const factor of factors) {
      const tick = Number(`${factor}e${exponent}`);
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks;
}

// "1e-9" marks rounding errors of sums: ticks are written with few digits.
function tickText(value) {
  return numberText(Math.abs(value) < 1e-15 ? 0 : value, 6);
}

// Round values from low to high, about `count` of them; whole ones where values are whole.
function evenTicks(low, high, count, whole = false) {
  const rough = (high - low) / count;
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  if (whole) step = Math.max(1, Math.round(step));
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-12); ++k) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

function axis(label, logarithmic, extra = {}) {
  const made = {
    type: logarithmic ? 'logarithmic' : 'linear',
    title: { display: Boolean(label), text: label, padding: { top: 2, bottom: 2 } },
    ticks: { callback: (value) => tickText(value), maxRotation: 0, autoSkipPadding: 14 },
    grid: {},
    ...extra,
  };
  if (logarithmic) {
    made.bounds = 'data';
    made.afterDataLimits = (scale) => {
      if (!(scale.min > 0) || !(scale.max > 0)) return;
      const pad = Math.max((scale.max / scale.min) ** 0.03, 1.02);
      if (extra.min === undefined) scale.min /= pad;
      if (extra.max === undefined) scale.max *= pad;
    };
    made.afterBuildTicks = (scale) => {
      if (scale.min > 0 && scale.max > scale.min) scale.ticks = logTicks(scale.min, scale.max).map((value) => ({ value }));
    };
  }
  return made;
}

// Vertical lines with labels above the plot; where they would crowd, some are left out.
const markLines = {
  id: 'markLines',
  beforeDatasetsDraw(chart, _, options) {
    const { ctx, chartArea, scales } = chart;
    let lastLine = -Infinity;
    let lastLabel = -Infinity;
    ctx.save();
    ctx.strokeStyle = options.color;
    ctx.fillStyle = options.color;
    ctx.font = `11px ${Chart.defaults.font.family}`;
    ctx.textAlign = 'center';
    for (const mark of options.marks || []) {
      const x = scales.x.getPixelForValue(mark.x);
      if (!(x >= chartArea.left - 1 && x <= chartArea.right + 1) || x - lastLine < 22) continue;
      lastLine = x;
      ctx.setLineDash([4, 4]);
      ctx.beginPath();
      ctx.moveTo(x, chartArea.top);
      ctx.lineTo(x, chartArea.bottom);
      ctx.stroke();
      const width = ctx.measureText(mark.label || '').width;
      const middle = Math.min(Math.max(x, chartArea.left + width / 2), chart.width - width / 2);
      if (!mark.label || middle - width / 2 < lastLabel + 8) continue;
      ctx.fillText(mark.label, middle, chartArea.top - 5);
      lastLabel = middle + width / 2;
    }
    ctx.restore();
  },
};

// Tests read how much was drawn.
const countDrawn = {
  id: 'countDrawn',
  afterDraw(chart) {
    let points = 0;
    chart.data.datasets.forEach((_, k) => {
      if (!chart.isDatasetVisible(k)) return;
      for (const point of chart.getDatasetMeta(k).data) {
        if (!point.skip && Number.isFinite(point.x) && Number.isFinite(point.y)) ++points;
      }
    });
    chart.canvas.dataset.drawn = points;
  },
};

function paintChart(chart) {
  const soft = cssColor('--soft');
  const line = cssColor('--line');
  for (const scale of Object.values(chart.options.scales)) {
    scale.ticks.color = soft;
    scale.title.color = soft;
    scale.grid.color = scale.position === 'right' ? 'transparent' : line;
    scale.grid.borderColor = line;
  }
  chart.options.plugins.markLines.color = soft;
  chart.data.datasets.forEach((set) => {
    const color = seriesColor(set.place, set.faint);
    set.borderColor = color;
    set.backgroundColor = color;
    set.pointBackgroundColor = color;
    set.pointBorderColor = color;
  });
}

function swatch(set, bar) {
  const space = 'http://www.w3.org/2000/svg';
  const picture = document.createElementNS(space, 'svg');
  picture.setAttribute('width', bar ? 12 : 22);
  picture.setAttribute('height', 12);
  picture.setAttribute('aria-hidden', 'true');
  const add = (name, attributes) => {
    const shape = document.createElementNS(space, name);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
    picture.append(shape);
  };
  if (bar) add('rect', { x: 0, y: 0, width: 12, height: 12, rx: 2, fill: set.borderColor });
  if (!bar && set.showLine) {
    add('line', {
      x1: 0, x2: 22, y1: 6, y2: 6, stroke: set.borderColor, 'stroke-width': set.faint ? 1.5 : 2.5,
      'stroke-dasharray': set.borderDash.join(' '),
    });
  }
  if (!bar && set.pointRadius > 0) add('circle', { cx: 11, cy: 6, r: 4, fill: set.borderColor });
  return picture;
}

// Buttons that switch series on and off, with the keyboard too.
function fillLegend(legend, chart, bar) {
  const sets = chart.data.datasets;
  legend.replaceChildren();
  if (sets.length < 2) return;
  legend.classList.toggle('many', sets.length > 12);
  const buttons = sets.map((set, k) => {
    const button = element('button', { type: 'button', 'aria-pressed': chart.isDatasetVisible(k) }, swatch(set, bar), set.label);
    button.addEventListener('click', () => {
      chart.setDatasetVisibility(k, !chart.isDatasetVisible(k));
      chart.update('none');
      button.setAttribute('aria-pressed', chart.isDatasetVisible(k));
    });
    return button;
  });
  legend.append(...buttons);
  if (sets.length <= 6) return;
  const all = element('button', { type: 'button', class: 'all' }, 'all / none');
  all.addEventListener('click', () => {
    const show = !sets.every((_, k) => chart.isDatasetVisible(k));
    sets.forEach((_, k) => chart.setDatasetVisibility(k, show));
    chart.update('none');
    buttons.forEach((button) => button.setAttribute('aria-pressed', show));
  });
  legend.append(all);
}

// The chart with its title and legend on a background of its own.
function chartPicture(chart, title, bar) {
  const source = chart.canvas;
  const scale = source.width / source.clientWidth;
  const width = source.clientWidth + 24;
  const shown = chart.data.datasets.filter((_, k) => chart.data.datasets.length > 1 && chart.isDatasetVisible(k));
  const picture = document.createElement('canvas');
  const pen = picture.getContext('2d');
  const font = (size) => `${size}px ${Chart.defaults.font.family}`;
  pen.font = font(12);
  let x = 12;
  let row = 0;
  const places = shown.map((set) => {
    const wide = pen.measureText(set.label).width + 44;
    if (x > 12 && x + wide > width) { x = 12; ++row; }
    const place = { set, x, row };
    x += wide;
    return place;
  });
  const height = source.clientHeight + 44 + (shown.length ? (row + 1) * 18 + 12 : 0);
  picture.width = width * scale;
  picture.height = height * scale;
  pen.scale(scale, scale);
  pen.fillStyle = cssColor('--back');
  pen.fillRect(0, 0, width, height);
  pen.fillStyle = cssColor('--text');
  pen.font = `bold ${font(15)}`;
  pen.fillText(title, 12, 24, width - 24);
  pen.drawImage(source, 12, 36, source.clientWidth, source.clientHeight);
  pen.font = font(12);
  for (const place of places) {
    const y = source.clientHeight + 54 + place.row * 18;
    pen.strokeStyle = place.set.borderColor;
    pen.lineWidth = bar ? 10 : 2.5;
    pen.setLineDash(place.set.borderDash || []);
    pen.beginPath();
    pen.moveTo(place.x, y);
    pen.lineTo(place.x + (bar ? 10 : 22), y);
    pen.stroke();
    pen.fillStyle = cssColor('--text');
    pen.fillText(place.set.label, place.x + 28, y + 4);
  }
  return picture;
}

function tooltip(chartItem, sets) {
  return {
    callbacks: {
      title: (points) => (points.length ? `${chartItem.xLabel || 'x'}: ${numberText(points[0].parsed.x)}` : ''),
      label: (point) => `${sets[point.datasetIndex].label}: ${numberText(point.parsed.y)}`,
    },
  };
}

// Makes a chart in `plot`, keeps its legend and colours up to date, and says how to paint it again.
function startChart(plot, legend, item, config, bar) {
  const canvas = element('canvas', { role: 'img', 'aria-label': `Chart: ${item.title}. Its numbers stand in the table below it.` });
  plot.append(canvas);
  config.options = { responsive: true, maintainAspectRatio: false, animation: false, ...config.options };
  config.plugins = [markLines, countDrawn];
  config.options.plugins = { ...config.options.plugins, legend: { display: false } };
  config.options.plugins.markLines = { marks: item.marks || [], color: '#888888' };
  const chart = new Chart(canvas, config);
  const paint = () => {
    paintChart(chart);
    chart.update();
    fillLegend(legend, chart, bar);
  };
  paint();
  drawnCharts.push({ chart, paint, bar });
  return chart;
}

// The axis across ends with the data; its ticks are round.
function evenPlaces(places, item) {
  const whole = item.series.every((series) => places[series.x].every(Number.isInteger));
  const all = item.series.flatMap((series) => places[series.x]);
  const low = all.reduce((a, b) => Math.min(a, b), Infinity);
  const high = all.reduce((a, b) => Math.max(a, b), -Infinity);
  // Chart.js takes the ends of an axis from the first and the last point: a path goes to and fro between them.
  const forward = item.series.every((series) => places[series.x].every((x, i, all) => i === 0 || x >= all[i - 1]));
  const limits = !forward ? { min: low, max: high } : low > 0 && low < 0.05 * high ? { min: 0 } : {};
  return {
    ...limits,
    bounds: 'data',
    afterBuildTicks: (scale) => {
      const count = Math.max(2, Math.round(scale.chart.width / 90));
      scale.ticks = evenTicks(scale.min, scale.max, count, whole).map((value) => ({ value }));
    },
  };
}

// A value that never changes is shown above zero, not in a range made up around it.
function evenLimits(sets) {
  const values = sets.flatMap((set) => set.data.map((point) => point.y)).filter((y) => y !== null);
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (low !== high || low === 0) return {};
  return { suggestedMin: Math.min(0, 1.2 * low), suggestedMax: Math.max(0, 1.2 * low) };
}

function drawChart(plot, legend, item, places) {
  const sets = item.series.map((series, k) => {
    const xs = places[series.x];
    const usable = (x, y) => y !== null && (!(series.right ? item.logRight : item.logY) || y > 0) && (!item.logX || x > 0);
    const data = xs.map((x, i) => ({ x, y: usable(x, series.y[i]) ? series.y[i] : null }));
    const alone = data.filter((point) => point.y !== null).length === 1;
    const place = series.color ?? k;
    return {
      label: series.label || '', data, place, faint: series.faint, hidden: Boolean(series.hidden),
      yAxisID: series.right ? 'right' : 'y', showLine: series.style !== 'points', borderDash: seriesDash(place),
      borderWidth: series.faint ? 1 : 1.8, pointRadius: series.style === 'points' ? 2.5 : series.style === 'both' || alone ? 3.5 : 0,
      pointHitRadius: 6, order: series.faint ? 1 : 0,
    };
  });
  const limits = evenLimits(sets.filter((set) => set.yAxisID === 'y'));
  if (item.yMin !== undefined) limits.min = item.yMin;
  if (item.yMax !== undefined) limits.max = item.yMax;
  const scales = { x: axis(item.xLabel, item.logX, item.logX ? {} : evenPlaces(places, item)), y: axis(item.yLabel, item.logY, limits) };
  if (item.series.some((series) => series.right)) {
    scales.right = axis(item.rightLabel, item.logRight, { position: 'right', ...evenLimits(sets.filter((set) => set.yAxisID === 'right')) });
  }
  const labelled = (item.marks || []).some((mark) => mark.label);
  return startChart(plot, legend, item, {
    type: 'line',
    data: { datasets: sets },
    options: {
      parsing: false, normalized: false,
      layout: { padding: { top: labelled ? 18 : 4, right: 6 } },
      interaction: sets.length > 8 ? { mode: 'nearest', intersect: false } : { mode: 'nearest', axis: 'x', intersect: false },
      scales, plugins: { tooltip: tooltip(item, sets) },
    },
  }, false);
}

function drawBars(plot, legend, item) {
  plot.style.height = `${item.labels.length * 24 + 70}px`;
  const sets = item.groups.map((group, k) => ({ label: group.label || '', data: group.values, place: k, maxBarThickness: 18, borderWidth: 0 }));
  const most = plot.clientWidth < 500 ? 16 : 30;
  const shorten = (text) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  return startChart(plot, legend, item, {
    type: 'bar',
    data: { labels: item.labels, datasets: sets },
    options: {
      indexAxis: 'y',
      scales: {
        x: axis(item.xLabel, false, { stacked: true, beginAtZero: true }),
        y: {
          stacked: true, title: { display: false }, grid: { display: false },
          ticks: { autoSkip: false, callback: (_, k) => shorten(item.labels[k]) },
        },
      },
      plugins: { tooltip: { callbacks: { label: (point) => `${sets[point.datasetIndex].label}: ${numberText(point.parsed.x)}` } } },
    },
  }, true);
}
