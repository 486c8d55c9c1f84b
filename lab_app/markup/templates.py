"""The constant markup of the page's parts. The scripts insert everything that changes, as text."""

HEADER = """
<div class="bar">
  <div class="brand"><b>Edit Lab</b><span class="facts"></span></div>
  <div class="legend" role="group" aria-label="Lanes"></div>
  <div class="right">
    <details class="menu" hidden><summary>Runs</summary><nav class="runs" aria-label="Your runs"></nav></details>
    <button type="button" data-do="export" title="Export this run or its weights" hidden>Export</button>
    <button type="button" data-do="fold" aria-pressed="true"
      title="Show or hide the experiment">Experiment</button>
    <button type="button" data-do="theme" title="Light or dark theme" aria-label="Light or dark theme">◐</button>
  </div>
</div>"""

DOCK = """
<div class="dock" data-status="none">
  <div class="notices" aria-live="polite"></div>
  <div class="line"><span class="lamp" aria-hidden="true"></span>
    <span class="says" role="status" dir="auto"></span><span class="left"></span></div>
  <div class="bar"><i></i></div>
  <div class="line scrub"><button type="button" class="play" aria-label="Play the rounds" hidden>▶</button>
    <input type="range" min="0" max="0" value="0" aria-label="Round" disabled>
    <span class="at"></span><button type="button" class="live" aria-pressed="true" hidden>Live</button>
    <button type="button" class="branch-off" title="New lane from a round, or undo an edit" hidden>Branch…</button>
    </div>
</div>"""

EXPERIMENT = """
<div class="experiment-title"><h2>Experiment</h2>
  <button type="button" data-do="spec" title="The experiment as JSON, as Run submits it">{ } Spec</button></div>"""

FACTS = """
<div class="facts-form">
  <div class="rows" role="table" aria-label="Facts to edit"></div>
  <div class="under"><span class="count"></span>
    <button type="button" data-do="add">+ Row</button>
    <button type="button" data-do="examples">Examples</button>
    <button type="button" data-do="clear">Clear</button></div>
  <p class="note" role="status" dir="auto"></p>
  <details class="template"><summary>Add from a template</summary>
    <label><span>What about?</span><select class="relation" aria-label="Relation"></select></label>
    <div class="blank"></div>
    <p class="hint" role="status" dir="auto"></p></details>
  <details class="paste"><summary>Paste or upload many rows</summary>
    <p>From a spreadsheet, CSV or JSON: <em>subject, prompt, new answer, old answer</em>. Or paste into any cell.</p>
    <textarea rows="4" dir="auto" aria-label="Rows to add"
      placeholder="France, The capital of {} is, Lyon, Paris"></textarea>
    <div class="buttons"><button type="button" data-do="read">Add these rows</button>
    <button type="button" data-do="upload">Upload a file</button></div>
    <p>Files: .csv, .json or .jsonl up to 16 MB, including CounterFact, ZsRE, KnowEdit, MQuAKE, ConceptEdit and ELKEN.
    You can also drop a file on the table.</p>
    <input type="file" hidden tabindex="-1" aria-label="A file of facts"></details>
  <div class="chosen">
    <label><span>Sample from</span><select class="source" aria-label="Sample from"></select></label>
    <label><span>Order</span><select class="order" aria-label="Order of the facts"></select></label>
    <label class="mixed" hidden title="Off: the first records of the file, as in the papers"><span>Shuffle records by
    seed</span><input type="checkbox" aria-label="Shuffle records by seed"></label></div>
  <p class="hint source-hint" dir="auto"></p>
</div>"""

LANES = """
<div class="lanes-form"><div class="cards"></div>
  <button type="button" data-do="add">+ Lane</button>
  <button type="button" data-do="settings" title="Settings of this run’s lanes side by side" hidden>Compare</button>
  <details class="why"><summary>What do the method and the guard do?</summary>
  <p>MEMIT writes all facts of a round into a few layers at once, by least squares against what those layers already
  store. REVIVE then removes from that update every component that touches the first k singular directions of the
  original matrix.</p><div class="equation">%s</div>
  <p>Not included: AdaEdit, of which no published algorithm or code was found.</p></details>
</div>"""

WORDS = """
<section class="said-panel" aria-label="Model continuations"><h3>Model continuations <span></span></h3>
  <p class="empty">The model’s continuations for the facts just edited, before and after.</p>
  <div class="said" tabindex="0"></div></section>"""

PROBE = """
<section class="probe-panel" aria-label="Ask the model"><h3>Ask the model</h3>
  <form><input type="text" dir="auto" maxlength="500" placeholder="The capital of France is"
    aria-label="The beginning of a sentence" autocomplete="off" spellcheck="false">
    <button type="button" class="star" aria-pressed="false" aria-label="Save this prompt">☆</button>
    <button type="submit">Ask</button></form>
  <label class="without" hidden><input type="checkbox"> <span></span></label>
  <p class="hint" role="status" dir="auto"></p><div class="answers"></div></section>"""
