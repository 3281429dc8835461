"""How the page looks: light or dark as the reader's system is, for phones and for paper."""

STYLE = """
:root { --paper: #fdfcfa; --ink: #1c1c1c; --quiet: #63615d; --line: #dedad2; --card: #fff;
  --good: #1d6b3a; --bad: #a63a24; --open: #8a6100; --link: #1f5f8b; color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #17181a; --ink: #e8e6e1; --quiet: #a19e97; --line: #37383b; --card: #1f2023;
    --good: #6fce91; --bad: #f09a83; --open: #e3bd62; --link: #8cc4ea; }
  figure img { filter: invert(0.9) hue-rotate(180deg); } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main, header, footer { max-width: 54rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 0.4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 0 0 0.8rem; padding-top: 1.4rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 0.4rem; }
p, ul { margin: 0 0 0.9rem; overflow-wrap: anywhere; }
section { margin-top: 1.8rem; }
nav { margin: 1rem 0 0; font-size: 0.92rem; }
nav a { margin-right: 0.9rem; display: inline-block; }
a { color: var(--link); }
.quiet, figcaption, footer { color: var(--quiet); font-size: 0.92rem; }
.verdict { background: var(--card); border: 1px solid var(--line); border-left-width: 6px;
  border-radius: 4px; padding: 0.8rem 1rem; margin: 0 0 1rem; }
.verdict strong { font-size: 1.15rem; }
.verdict p { margin: 0.3rem 0 0; }
.certified { border-left-color: var(--good); } .certified strong { color: var(--good); }
.not_certified, .invalid { border-left-color: var(--bad); }
.not_certified strong, .invalid strong { color: var(--bad); }
.inconclusive { border-left-color: var(--open); } .inconclusive strong { color: var(--open); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  gap: 0.7rem 1.2rem; margin: 0 0 1rem; }
dt { color: var(--quiet); font-size: 0.85rem; }
dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.whole { white-space: nowrap; }
.large img { min-width: 38rem; }
td:last-child:not(.number) { min-width: 11rem; }
figure .wide { margin: 0; }
.wide { overflow-x: auto; margin: 0 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.92rem; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.9rem 0.3rem 0;
  border-bottom: 1px solid var(--line); }
th { color: var(--quiet); font-weight: 500; white-space: nowrap; }
td { overflow-wrap: break-word; max-width: 26rem; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
figure { margin: 0 0 1.2rem; }
figure img { display: block; max-width: 100%; height: auto; background: #fff;
  border-radius: 4px; }
figcaption { margin-top: 0.3rem; }
details { margin: 0 0 1rem; }
summary { cursor: pointer; color: var(--link); margin-bottom: 0.5rem; }
code { font: 0.88em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 4px;
  padding: 0.6rem 0.8rem; overflow-x: auto; }
footer { padding-top: 1.5rem; padding-bottom: 2.5rem; }
@media print { nav { display: none; } section { break-inside: avoid-page; } }
"""
