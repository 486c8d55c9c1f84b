// For tests: a page without a browser.
import { Window } from "happy-dom";

const NAMES = ["document", "location", "history", "localStorage", "getComputedStyle", "Element", "Node", "Event"];
const MORE = ["MouseEvent", "KeyboardEvent", "MutationObserver", "HTMLElement"];

/**
 * A new page whose names are global, as in a browser.
 * @param {string} url
 * @returns {Window}
 */
export function openPage(url = "http://lab.test/") {
  const window = new Window({ url });
  for (const name of [...NAMES, ...MORE])
    Object.defineProperty(globalThis, name, { value: window[name], configurable: true, writable: true });
  globalThis.window = window;
  globalThis.addEventListener = window.addEventListener.bind(window);
  return window;
}
