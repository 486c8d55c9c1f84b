// The front end: its parts by kind, and how Gradio's components mount them. `lab_app/markup/widgets.py` imports this
// module in each component's `js_on_load`, so that a component that exists before the modules waits for them; there
// are no globals.
import { panel } from "./charts/panel.js";
import { card } from "./facts/card.js";
import { facts } from "./facts/facts.js";
import { branch } from "./lanes/branch.js";
import { lanes } from "./lanes/lanes.js";
import { learn } from "./learn/learn.js";
import { dock } from "./page/dock.js";
import { header } from "./page/header.js";
import { experimentTitle, spec } from "./page/spec.js";
import { exporting } from "./runs/export.js";
import { history } from "./runs/history.js";
import { sandbox } from "./sandbox/sandbox.js";
import { beginAddress } from "./shared/address.js";
import { closeMenus } from "./shared/menus.js";
import { beginTheme } from "./shared/theme.js";
import { studies } from "./studies/studies.js";
import { film } from "./words/film.js";
import { probe, words } from "./words/words.js";

/** @type {Record<string, (context: Context, key: string) => void>} */
const KINDS = {
  branch,
  card,
  dock,
  "experiment-title": experimentTitle,
  export: exporting,
  facts,
  film,
  header,
  history,
  lanes,
  learn,
  panel,
  probe,
  sandbox,
  spec,
  studies,
  words,
};

/**
 * Draw a Gradio component.
 * @param {string} kind - as in `widgets.py`, with a key behind a colon.
 * @param {Context} context
 */
export function mount(kind, context) {
  const [name, key] = kind.split(":");
  KINDS[name](context, key);
}

beginTheme();
beginAddress();
closeMenus();
