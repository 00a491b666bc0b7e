/** The report's style sheet. Colours come in pairs: the page follows what the reader's system asks for. */
import { otherColours, variantClass } from './variants.ts'

const otherKeys = Object.entries(otherColours)
  .map(([name, colour]) => `.legend .${variantClass(name)}::before { background: ${colour}; }`)
  .join('\n')

export const styleSheet = `
:root { color-scheme: light dark; --page: #f6f7f9; --card: #ffffff; --text: #1f2430; --faint: #5f6877; --line: #e3e6ec;
  --accent: #0f766e; --notice: #fff4e0; --notice-text: #7a4a00;
  --own: #0f766e; --kafka: #c2570c; --mixed: #6d5bd0; }
.on-dark { display: none; }
@media (prefers-color-scheme: dark) {
  :root { --page: #12151b; --card: #1a1e26; --text: #e6e9ef; --faint: #98a2b3; --line: #2b313d; --accent: #2dd4bf;
    --notice: #33270f; --notice-text: #f2c879; --own: #2dd4bf; --kafka: #fb923c; --mixed: #a594ff; }
  .on-light { display: none; }
  .on-dark { display: block; }
}
.narrow { display: none; }
@media (max-width: 640px) {
  .wide { display: none; }
  .narrow { display: block; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 ui-sans-serif, system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 16px 64px; }
h1 { font-size: clamp(1.6rem, 4.5vw, 2.5rem); line-height: 1.15; margin: 0 0 16px; letter-spacing: -0.02em; text-wrap: balance; }
h2 { font-size: 1.2rem; margin: 0 0 16px; }
h2 code { font-weight: 400; font-size: 0.8em; color: var(--faint); margin-left: 6px; }
code, pre { font-family: ui-monospace, monospace; }
code { font-size: 0.9em; white-space: nowrap; }
pre { background: var(--page); border: 1px solid var(--line); border-radius: 8px; padding: 12px; overflow-x: auto; }
.kicker, .faint, figcaption, .unit { color: var(--faint); }
.kicker { margin: 0 0 8px; font-size: 0.9rem; }
.notice { background: var(--notice); color: var(--notice-text); border-radius: 8px; padding: 8px 14px; margin: 8px 0; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 20px; margin: 20px 0; }
.cards { display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); margin: 24px 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 16px 18px; }
.card p { margin: 0; }
.card .name { font-size: 0.9rem; color: var(--faint); min-height: 2.8em; }
.card .value { font-size: 2.1rem; font-weight: 650; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; }
.card .unit { font-size: 0.85rem; }
.card .ratio { color: var(--accent); font-weight: 600; font-size: 0.9rem; margin-top: 8px; min-height: 1.5em; }
.legend { margin: 0 0 12px; font-size: 0.9rem; display: flex; flex-wrap: wrap; gap: 4px 18px; }
.legend span::before { content: ''; display: inline-block; width: 12px; height: 12px; border-radius: 3px;
  margin-right: 7px; vertical-align: -1px; background: var(--faint); }
.legend .key-pagelog::before { background: var(--own); }
.legend .key-kafka::before { background: var(--kafka); }
.legend .key-kafka-pagelog-client::before { background: var(--mixed); }
${otherKeys}
.grid { display: grid; gap: 24px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }
figure { margin: 0; min-width: 0; max-width: 620px; }
figure svg { width: 100%; height: auto; display: block; }
figcaption { font-size: 0.85rem; margin-top: 6px; }
.scroll { overflow-x: auto; margin-top: 18px; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th, td { text-align: left; padding: 7px 12px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { color: var(--faint); font-weight: 500; white-space: nowrap; }
tbody tr:last-child > * { border-bottom: 0; }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.settings th { font-weight: 500; color: var(--faint); white-space: nowrap; }
.settings td { width: 100%; overflow-wrap: anywhere; }
ul { padding-left: 18px; font-size: 0.9rem; }
`
