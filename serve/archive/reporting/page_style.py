"""The look of the report's page."""

#: Inline, so that the page is one file. It follows the reader's choice of light or dark, and the width of the screen;
#: ``content-visibility`` lets a browser skip the cards that are out of sight.
STYLE = """
:root { color-scheme: light dark; --back: #f5f6f7; --card: #fff; --ink: #1b1f24; --soft: #5a646f; --line: #dcdfe3;
  --link: #0b57d0; --bad: #b3261e; --bad-back: #fdecea }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --card: #1e2226; --ink: #e8eaed; --soft: #a2abb5;
  --line: #343a41; --link: #8ab4f8; --bad: #ff8a80; --bad-back: #3a1f1d } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.25rem; max-width: 110rem; background: var(--back); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif }
h1 { margin: 0; font-size: 1.5rem }
h2 { margin: 2rem 0 .75rem; font-size: 1.15rem }
h3 { margin: 0; font-size: 1rem; overflow-wrap: anywhere }
a { color: var(--link) }
.sum { margin: .35rem 0; font-size: 1.1rem }
.about, dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .1rem .75rem; margin: .5rem 0 0 }
dt { color: var(--soft) }
dd { margin: 0; overflow-wrap: anywhere }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); gap: 1rem;
  align-items: start }
article { overflow: hidden; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  content-visibility: auto; contain-intrinsic-size: auto 24rem }
article.bare { contain-intrinsic-size: auto 8rem }
article img { display: block; width: 100%; height: auto; background: var(--line) }
article div { padding: .65rem .8rem .8rem }
article p { margin: .15rem 0 0; color: var(--soft) }
article .error { margin: .5rem 0 0; padding: .4rem .6rem; border-radius: 4px; color: var(--bad);
  background: var(--bad-back); overflow-wrap: anywhere }
@media (max-width: 30rem) { body { padding: .75rem } }
@media print { :root { color-scheme: light; --back: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb;
  --link: #000; --bad: #900; --bad-back: #fff } body { max-width: none; padding: 0; font-size: 10pt }
  .cards { grid-template-columns: 1fr 1fr } article { break-inside: avoid; content-visibility: visible }
  h2 { break-after: avoid } }
"""
