// Returns what is wrong with the page as it is shown: faults, and the number of texts that were looked at.
function () {
  const faults = [];
  const width = document.documentElement.clientWidth;
  const isScrolled = e => e.closest('.scroll') !== null;
  const name = e => `<${e.tagName.toLowerCase()} class="${e.getAttribute('class') || ''}"> ${JSON.stringify((e.textContent || '').trim().slice(0, 60))}`;

  // Nothing is wider than the screen, but what scrolls in a box of its own, and a reader reaches that box by keyboard.
  if (document.documentElement.scrollWidth > width) faults.push(`the page is ${document.documentElement.scrollWidth} px wide, the screen ${width}`);
  for (const e of document.body.querySelectorAll('*')) {
    const r = e.getBoundingClientRect();
    const inBox = isScrolled(e) && !e.classList.contains('scroll');
    if (!inBox && r.width > 0 && (r.right > width + 1 || r.left < -1)) faults.push(`${name(e)} reaches from ${r.left} to ${r.right} px of ${width}`);
    if (e.classList.contains('scroll') && e.tabIndex !== 0) faults.push(`${name(e)} cannot be reached by keyboard`);
  }

  // Each text is visible, not cut, and has contrast (WCAG 2, AA).
  const canvas = c => {
    const m = c.match(/rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)/);
    if (!m) { faults.push('unknown colour ' + c); return [0, 0, 0, 1]; }
    return [+m[1], +m[2], +m[3], m[4] === undefined ? 1 : +m[4]];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const background = e => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) layers.push(canvas(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0, 1] : [255, 255, 255, 1]);
  };
  const luminance = c => {
    const [r, g, b] = c.slice(0, 3).map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => { const [hi, lo] = [luminance(a), luminance(b)].sort((x, y) => y - x); return (hi + 0.05) / (lo + 0.05); };
  const least = style => { const size = parseFloat(style.fontSize); return size >= 24 || size >= 18.66 && +style.fontWeight >= 700 ? 3 : 4.5; };
  let texts = 0;
  const check = (e, color, style, what) => {
    texts++;
    const c = contrast(over(canvas(color), background(e)), background(e));
    if (c < least(style)) faults.push(`contrast ${c.toFixed(2)}: ${what} of ${name(e)}`);
    if (parseFloat(style.fontSize) < 12) faults.push(`${style.fontSize} is too small: ${name(e)}`);
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    const e = node.parentElement;
    if (!node.data.trim() || e.closest('svg') || e.closest('details:not([open])') && !e.closest('summary')) continue;
    const style = getComputedStyle(e);
    const range = document.createRange();
    range.selectNodeContents(node);
    const r = range.getBoundingClientRect();
    if (style.visibility !== 'visible' || style.display === 'none' || r.width === 0 || r.height === 0) { faults.push(`not visible: ${name(e)}`); continue; }
    if (!isScrolled(e) && (r.right > width + 1 || r.left < -1)) faults.push(`cut at the edge: ${name(e)}`);
    check(e, style.color, style, 'text');
  }
  for (const e of document.querySelectorAll('[placeholder]')) check(e, getComputedStyle(e, '::placeholder').color, getComputedStyle(e), 'placeholder');

  // States are not shown by colour alone, and the bars of the chart differ from what is behind them.
  for (const e of document.querySelectorAll('.state')) {
    const sign = getComputedStyle(e, '::before').content;
    if (!e.textContent.trim() || sign === 'none' || sign === 'normal') faults.push(`a state by colour alone: ${name(e)}`);
  }
  for (const kind of ['all', 'hidden']) {
    const rect = document.querySelector(`svg rect.${kind}`);
    if (!rect) continue;
    const c = contrast(canvas(getComputedStyle(rect).fill), background(rect.closest('section')));
    if (c < 3) faults.push(`contrast ${c.toFixed(2)}: bars of kind ${kind}`);
  }

  // Who listens to the page finds the way.
  if (!document.documentElement.lang) faults.push('no language');
  if (!document.title) faults.push('no title');
  if (!document.querySelector('meta[name=viewport]')) faults.push('no viewport');
  if (document.querySelectorAll('main').length !== 1 || document.querySelectorAll('h1').length !== 1) faults.push('not one main and one h1');
  for (const e of document.querySelectorAll('input, select, textarea')) if (!e.labels || e.labels.length === 0) faults.push(`no label: ${name(e)}`);
  for (const e of document.querySelectorAll('table')) {
    if (!e.caption || !e.caption.textContent.trim()) faults.push(`no caption: ${name(e)}`);
    if (!e.querySelector('thead th[scope=col]')) faults.push(`no header: ${name(e)}`);
    for (const row of e.querySelectorAll('tbody tr')) {
      if (!row.querySelector('th[scope=row]')) faults.push(`a row without header: ${name(row)}`);
      if (row.children.length !== e.querySelectorAll('thead th').length) faults.push(`a row of another length: ${name(row)}`);
    }
  }
  for (const e of document.querySelectorAll('section')) if (!document.getElementById(e.getAttribute('aria-labelledby'))) faults.push(`no heading: ${name(e)}`);
  for (const e of document.querySelectorAll('svg')) if (e.getAttribute('role') !== 'img' || !e.getAttribute('aria-label')) faults.push('a picture without text');
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push(`twice: id ${id}`);
  let level = 1;
  for (const e of document.querySelectorAll('h1, h2, h3, h4')) {
    const next = +e.tagName[1];
    if (next > level + 1) faults.push(`h${next} after h${level}: ${name(e)}`);
    level = next;
  }

  // Nothing of what others wrote became a part of the page.
  for (const e of document.querySelectorAll('script, iframe, object, embed, img, link, base, style[src], [onerror], [onload], [onclick], [style]')) faults.push(`must not be there: ${name(e)}`);
  for (const e of document.querySelectorAll('[href], [src], [action]')) {
    const to = e.getAttribute('href') || e.getAttribute('src') || e.getAttribute('action');
    if (!to.startsWith('/') || to.startsWith('//')) faults.push(`leads outside: ${to}`);
  }
  return { faults: faults.slice(0, 40), texts };
}
