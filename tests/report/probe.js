'use strict';
// Runs inside a copy of a page, looks at what a person would see, and leaves lines in <pre id="probe">:
// "ok NAME" or "not ok NAME: why".
const failures = [];
window.addEventListener('error', (event) => failures.push(`error: ${event.message || event.target}`), true);
window.addEventListener('unhandledrejection', (event) => failures.push(`rejection: ${event.reason}`));
document.addEventListener('securitypolicyviolation', (event) => failures.push(`blocked: ${event.blockedURI}`));

function colours(canvas) {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const found = new Set();
  for (let k = 0; k < pixels.length && found.size < 50; k += 4) {
    if (pixels[k + 3] > 0) found.add(pixels[k] * 65536 + pixels[k + 1] * 256 + pixels[k + 2]);
  }
  return found.size;
}

function brightness(color) {
  const [red, green, blue] = color.match(/[\d.]+/g).map(Number);
  return (0.3 * red + 0.59 * green + 0.11 * blue) / 255;
}

const checks = {
  'no error': () => failures.join('; '),
  'every canvas is drawn': () => {
    const canvases = [...document.querySelectorAll('canvas[role=img]')];
    const empty = canvases.filter((canvas) => !(Number(canvas.dataset.drawn) > 0) || colours(canvas) < 2);
    return canvases.length === 0 ? 'there is none' : empty.map((canvas) => canvas.getAttribute('aria-label')).join('; ');
  },
  'every canvas has a text for those who do not see it': () =>
    [...document.querySelectorAll('canvas')].filter((canvas) => !canvas.getAttribute('aria-label') && !canvas.ariaHidden).length || '',
  'headings are in order': () => {
    const levels = [...document.querySelectorAll('h1, h2, h3, h4')].map((heading) => Number(heading.tagName[1]));
    return levels[0] === 1 && levels.every((level, k) => k === 0 || level <= levels[k - 1] + 1) ? '' : levels.join(' ');
  },
  'nothing is wider than the window': () => {
    const wide = document.documentElement.scrollWidth;
    return wide > window.innerWidth ? `${wide} > ${window.innerWidth}` : '';
  },
  'the window is as wide as it is to be': () => {
    const wanted = window.parent === window ? 1280 : 360;
    return window.innerWidth === wanted ? '' : `${window.innerWidth}, not ${wanted}`;
  },
  'the colours are those asked for': () => {
    const asked = window.matchMedia('(prefers-color-scheme: dark)').matches;
    const style = getComputedStyle(document.body);
    const dark = brightness(style.backgroundColor) < brightness(style.color);
    return dark === asked && document.documentElement.dataset.theme === (asked ? 'dark' : 'light') ? '' : `dark: ${dark}`;
  },
  'every chart shows its numbers as a table': () => {
    const without = [];
    for (const details of document.querySelectorAll('figure details')) {
      details.open = true;
      details.dispatchEvent(new Event('toggle'));
      if (details.querySelectorAll('tbody tr').length === 0) without.push(details.closest('figure').querySelector('h3').textContent);
      details.open = false;
    }
    const charts = document.querySelectorAll('.plot, .map').length;
    if (document.querySelectorAll('figure details').length !== charts) without.push('a chart without them');
    return without.join('; ');
  },
  'a legend switches a series off and on': () => {
    const button = document.querySelector('.legend button[aria-pressed=true]');
    if (!button) return 'there is no legend';
    const canvas = button.closest('figure').querySelector('canvas');
    const before = Number(canvas.dataset.drawn);
    button.click();
    const off = Number(canvas.dataset.drawn);
    const pressed = button.getAttribute('aria-pressed');
    button.click();
    return off < before && pressed === 'false' && Number(canvas.dataset.drawn) === before ? '' : `${before} → ${off}`;
  },
  'the button changes the colours': () => {
    const before = getComputedStyle(document.body).backgroundColor;
    const button = document.querySelector('button.theme');
    button.click();
    const between = getComputedStyle(document.body).backgroundColor;
    button.click();
    return between !== before && getComputedStyle(document.body).backgroundColor === before ? '' : between;
  },
  'a chart is saved as a picture': () => {
    let saved = '';
    const click = HTMLAnchorElement.prototype.click;
    HTMLAnchorElement.prototype.click = function () { saved = `${this.download} ${this.href}`; };
    document.querySelector('.plot').closest('figure').querySelector('.tools button').click();
    HTMLAnchorElement.prototype.click = click;
    return /^[a-z0-9-]+\.png data:image\/png;base64,.{1000}/.test(saved) ? '' : saved.slice(0, 80);
  },
  'nothing points to the network': () =>
    [...document.querySelectorAll('[src], [href]')].map((one) => one.getAttribute('src') || one.getAttribute('href'))
      .filter((address) => /^\s*(https?:)?\/\//i.test(address)).join(' '),
};

window.addEventListener('load', () => setTimeout(() => {
  const lines = Object.entries(checks).map(([name, check]) => {
    let why;
    try { why = String(check()); } catch (error) { why = String(error); }
    return why === '' ? `ok ${name}` : `not ok ${name}: ${why}`;
  });
  const result = document.createElement('pre');
  result.id = 'probe';
  result.textContent = `\n${lines.join('\n')}\n`;
  window.parent.document.body.append(result);  // the browser writes out the outermost page
}, 300));
